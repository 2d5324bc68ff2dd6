//! The recount: what changed rows and no counters is found and corrected, once.

use chrono::TimeDelta;
use futures::future::join_all;

use super::counters::{assert_counters_agree, limited, moved};
use super::support::{Rig, create, field, new_upload, new_upload_for, now};
use crate::db::{Db, PendingQuota, Recounted, StatusStep};
use crate::domain::upload::Upload;

async fn create_for(db: &Db, n: usize) -> Upload {
    let new = new_upload(&format!("user:{}", 20 + n % 3));
    db.create_one(new).await.unwrap().into_upload()
}

async fn recount(db: &Db) -> Option<Recounted> {
    let (token, at) = (format!("{:x}", rand::random::<u64>()), chrono::Utc::now());
    db.recount(&token, at, at + TimeDelta::milliseconds(1))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn r9_a_recount_heals_what_a_broker_that_counts_nothing_has_changed() {
    for rig in Rig::each() {
        let db = limited(&rig, PendingQuota::default());
        for n in 0..12 {
            db.create_one(new_upload(&format!("user:{n}")))
                .await
                .unwrap();
        }
        let manual = new_upload_for("Product.manual", "user:gone", now());
        db.create_one(manual).await.unwrap();
        // As the version before would: no counter moves.
        rig.execute(
            "UPDATE uploads SET status = 'expired', version = version + 1 WHERE owner < 'user:2'",
        );
        rig.execute("UPDATE uploads SET owner = 'user:9' WHERE status = 'pending' AND field = 'Product.image'");
        // Meanwhile others go on.
        let meanwhile = join_all((0..20).map(|n| {
            let db = &db;
            async move {
                let upload = create_for(db, n).await;
                moved(db, upload.id, StatusStep::Cancel).await;
            }
        }));
        let healed = tokio::join!(recount(&db), meanwhile);
        assert!(healed.0.unwrap().corrected > 0);
        assert_counters_agree(&rig);
        assert_eq!(recount(&db).await.unwrap().corrected, 0);
        let stats = db.stats().await.unwrap();
        assert!(
            stats
                .oldest_pending
                .iter()
                .any(|it| it.0 == field("Product.manual"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_recounts_at_once_one_corrects() {
    for rig in Rig::each() {
        let brokers: Vec<Db> = (0..4).map(|_| rig.open()).collect();
        create(&brokers[0]).await;
        rig.execute("UPDATE owner_usage SET pending_count = 7, pending_bytes = 5");
        rig.execute("UPDATE upload_counts SET count = 9");
        let at = chrono::Utc::now();
        let until = at + TimeDelta::hours(1);
        let tokens = ["a", "b", "c", "d"];
        let recounts = brokers
            .iter()
            .zip(tokens)
            .map(|(db, token)| db.recount(token, at, until));
        let done: Vec<_> = join_all(recounts)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let corrected: usize = done.iter().flatten().map(|it| it.corrected).sum();
        assert_eq!(corrected, 2, "{done:?}");
        assert_counters_agree(&rig);
        let next = brokers[3].recount("e", at, until).await.unwrap();
        assert_eq!(next, None, "the turn is not over");
    }
}
