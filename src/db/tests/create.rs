//! Creating: rows are read back as written, batches share commits, and a failing write doesn't fail others.

use std::collections::HashSet;

use futures::future::join_all;

use super::support::{Rig, admitted, create, new_key, new_upload, now};
use crate::db::{DbError, NewUpload, SealAttempt};
use crate::domain::ids::UploadId;

#[tokio::test(flavor = "multi_thread")]
async fn created_upload_is_read_back_equal_to_the_microsecond() {
    for rig in Rig::each() {
        let db = rig.open();
        let upload = create(&db).await.into_upload();
        assert_eq!(
            db.find_upload(upload.id).await.unwrap().as_ref(),
            Some(&upload)
        );
        assert_eq!(upload.created_at.timestamp_subsec_nanos(), 123_456_000);
        assert_eq!(
            db.find_upload(UploadId::new(now(), &[1; 10]))
                .await
                .unwrap(),
            None
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousand_concurrent_creates_share_commits() {
    for rig in Rig::each() {
        let db = rig.open();
        let creates = (0..1_000).map(|n| db.create_one(new_upload(&format!("user:{n}"))));
        let ids: HashSet<UploadId> = join_all(creates)
            .await
            .into_iter()
            .map(|made| made.unwrap().upload().id)
            .collect();
        assert_eq!(ids.len(), 1_000);
        assert_eq!(rig.count("SELECT COUNT(*) FROM uploads"), 1_000);
        assert!(db.commits() < 200, "{} commits", db.commits());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_write_does_not_fail_the_others_of_its_batch() {
    for rig in Rig::each() {
        let db = rig.open();
        let taken = create(&db).await.upload().id;
        let stolen = NewUpload {
            id: taken,
            ..new_upload("user:2")
        };
        let attempt = |upload| SealAttempt {
            key: new_key(),
            upload,
            at: now(),
        };
        let nowhere = UploadId::new(now(), &[2; 10]);
        let (good, stolen, lost, fine) = tokio::join!(
            join_all((0..100).map(|_| db.create_one(new_upload("user:1")))),
            db.create_one(stolen),
            db.open_attempt(attempt(nowhere)),
            db.open_attempt(attempt(taken)),
        );
        assert!(good.iter().all(Result::is_ok));
        assert!(matches!(stolen, Err(DbError::Internal(_))), "{stolen:?}");
        assert!(matches!(lost, Err(DbError::Internal(_))), "{lost:?}");
        assert_eq!(fine, Ok(()));
        assert_eq!(
            db.find_upload(taken).await.unwrap().unwrap().owner,
            "user:1"
        );
        assert_eq!(rig.count("SELECT COUNT(*) FROM uploads"), 101);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_create_returns_the_same_upload() {
    for rig in Rig::each() {
        let db = rig.open();
        let new = new_upload("user:1");
        // Both in one batch, and once more in another.
        let (first, second) = tokio::join!(db.create_one(new.clone()), db.create_one(new.clone()));
        let third = db.create_one(new).await;
        let uploads: Vec<_> = [first, second, third]
            .into_iter()
            .map(|made| made.unwrap().into_upload())
            .collect();
        assert!(uploads.iter().all(|upload| *upload == uploads[0]));
        assert_eq!(rig.count("SELECT COUNT(*) FROM uploads"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn size_beyond_the_column_is_refused_before_it_is_queued() {
    for rig in Rig::each() {
        let db = rig.open();
        let huge = NewUpload {
            admitted: admitted("Product.image", u64::MAX),
            ..new_upload("user:1")
        };
        assert!(matches!(
            db.create_one(huge).await,
            Err(DbError::Internal(_))
        ));
        let most = NewUpload {
            admitted: admitted("Product.image", i64::MAX as u64),
            ..new_upload("user:1")
        };
        assert_eq!(
            db.create_one(most).await.unwrap().upload().size,
            i64::MAX as u64
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_row_is_an_error_that_names_its_column() {
    use diesel::connection::SimpleConnection as _;
    for rig in Rig::each() {
        let db = rig.open();
        let id = create(&db).await.upload().id;
        rig.connect()
            .batch_execute("UPDATE uploads SET content_type = 'x'")
            .unwrap();
        let Err(DbError::Internal(why)) = db.find_upload(id).await else {
            panic!("read")
        };
        assert!(
            why.contains("content_type") && why.contains(&id.to_string()),
            "{why}"
        );
    }
}
