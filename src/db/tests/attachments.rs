//! Attach with lost answers, with repeated keys, and after a change of a field's cardinality.

use std::sync::atomic::Ordering;

use chrono::TimeDelta;

use super::support::{Rig, create, now, open_attempt, record, record_and_attach};
use crate::db::{
    Attach, AttachTo, Attached, Change, Db, Detach, IdempotencyClaim, StatusStep, Transition,
};
use crate::domain::attachment::ObjectId;
use crate::domain::ids::UploadId;
use crate::domain::upload::{Status, Upload};

fn object_id(text: &str) -> ObjectId {
    ObjectId::parse(text).unwrap()
}

async fn confirmed(db: &Db) -> Upload {
    let upload = create(db).await.into_upload();
    let key = open_attempt(db, upload.id).await;
    match record(db, &upload, &key).await {
        Transition::Moved(upload) => upload,
        other => panic!("{other:?}"),
    }
}

fn to(record: &str) -> AttachTo {
    AttachTo {
        field: super::support::field("Product.image"),
        object_id: object_id(record),
        replaces: true,
        removal_grace_secs: 60,
    }
}

fn attach(upload: UploadId, to: AttachTo) -> Attach {
    Attach {
        upload,
        to,
        at: now(),
        idempotency: None,
    }
}

fn claim(upload: UploadId, key: &str, body_hash: &str) -> IdempotencyClaim {
    IdempotencyClaim {
        issuer: "backends".into(),
        subject: "shop".into(),
        route: format!("POST /v1/uploads/{upload}/attach"),
        key: key.into(),
        body_hash: body_hash.into(),
        result_id: upload.to_string(),
        at: now(),
    }
}

fn lose_the_next_answer(db: &Db) {
    db.queue.state.lose_answer.store(true, Ordering::Release);
}

async fn status(db: &Db, id: UploadId) -> Status {
    db.find_upload(id).await.unwrap().unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn attach_with_a_lost_answer_is_recognised_when_repeated() {
    for rig in Rig::each() {
        let db = rig.open();
        let former = confirmed(&db).await;
        db.attach(attach(former.id, to("42"))).await.unwrap();
        let new = confirmed(&db).await;
        lose_the_next_answer(&db);
        let answer = db.attach(attach(new.id, to("42"))).await.unwrap();
        let Attached::Moved { upload, .. } = answer else {
            panic!("{answer:?}")
        };
        assert_eq!((upload.status, upload.version), (Status::Attached, 2));
        assert_eq!(status(&db, former.id).await, Status::Detached);

        lose_the_next_answer(&db);
        let detach = Detach {
            upload: new.id,
            from: (new.field.clone(), object_id("42")),
            removal_grace_secs: 60,
            at: now(),
        };
        let answer = db.detach(detach).await.unwrap();
        let Transition::Moved(upload) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!((upload.status, upload.version), (Status::Detached, 3));
        assert_eq!(rig.count("SELECT COUNT(*) FROM attachment_slots"), 0);
        rig.assert_events_are_gapless();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn confirm_with_attach_and_a_lost_answer_takes_effect_once() {
    for rig in Rig::each() {
        let db = rig.open();
        let former = confirmed(&db).await;
        db.attach(attach(former.id, to("42"))).await.unwrap();
        let upload = create(&db).await.into_upload();
        let key = open_attempt(&db, upload.id).await;
        lose_the_next_answer(&db);
        let answer = record_and_attach(&db, &upload, &key, Some(to("42"))).await;
        let Transition::Moved(upload) = answer.transition else {
            panic!("{answer:?}")
        };
        assert_eq!((upload.status, upload.version), (Status::Attached, 2));
        assert_eq!(upload.confirmation.unwrap().key, key);
        assert_eq!(status(&db, former.id).await, Status::Detached);
        let lock = format!(
            "SELECT COUNT(*) FROM attachment_slots WHERE upload_id = '{}'",
            upload.id
        );
        assert_eq!(rig.count(&lock), 1);
        rig.assert_events_are_gapless();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_attach_leaves_the_lock_and_the_former_upload_unchanged() {
    for rig in Rig::each() {
        let db = rig.open();
        let former = confirmed(&db).await;
        db.attach(attach(former.id, to("42"))).await.unwrap();
        let pending = create(&db).await.into_upload();
        for record in ["42", "43"] {
            let answer = db.attach(attach(pending.id, to(record))).await.unwrap();
            assert_eq!(answer, Attached::Stale(pending.clone()));
        }
        // A confirm of an abandoned attempt.
        let key = open_attempt(&db, pending.id).await;
        assert_eq!(db.abandon_attempt(pending.id, &key).await, Ok(true));
        for record in ["42", "43"] {
            let answer = record_and_attach(&db, &pending, &key, Some(to(record))).await;
            assert_eq!(answer.transition, Transition::Stale(pending.clone()));
        }
        assert_eq!(status(&db, former.id).await, Status::Attached);
        let lock = format!(
            "SELECT COUNT(*) FROM attachment_slots WHERE upload_id = '{}'",
            former.id
        );
        assert_eq!(rig.count(&lock), 1);
        assert_eq!(rig.count("SELECT COUNT(*) FROM attachment_slots"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_changed_from_many_to_one_has_one_upload_after_the_next_attach() {
    for rig in Rig::each() {
        let db = rig.open();
        for _ in 0..3 {
            let upload = confirmed(&db).await;
            let many = AttachTo {
                replaces: false,
                ..to("42")
            };
            db.attach(attach(upload.id, many)).await.unwrap();
        }
        let last = confirmed(&db).await;
        let answer = db.attach(attach(last.id, to("42"))).await.unwrap();
        assert!(
            matches!(answer, Attached::Moved { detached: 3, .. }),
            "{answer:?}"
        );
        let attached = "SELECT COUNT(*) FROM uploads WHERE status = 'attached'";
        assert_eq!(rig.count(attached), 1);
        rig.assert_events_are_gapless();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attach_key_is_claimed_only_by_success_and_repeats_its_answer() {
    for rig in Rig::each() {
        let db = rig.open();
        let upload = create(&db).await.into_upload();
        let with = |claim| Attach {
            idempotency: Some(claim),
            ..attach(upload.id, to("42"))
        };
        let first = || with(claim(upload.id, "k", "42's"));
        let early = db.attach(first()).await.unwrap();
        assert_eq!(early, Attached::Stale(upload.clone()));
        assert_eq!(rig.count("SELECT COUNT(*) FROM idempotency_keys"), 0);

        let key = open_attempt(&db, upload.id).await;
        record(&db, &upload, &key).await;
        lose_the_next_answer(&db);
        let won = db.attach(first()).await.unwrap();
        assert!(matches!(won, Attached::Moved { .. }), "{won:?}");
        let other = db.attach(with(claim(upload.id, "k", "43's"))).await;
        assert_eq!(other, Ok(Attached::OtherBody));
        let detach = Detach {
            upload: upload.id,
            from: (upload.field.clone(), object_id("42")),
            removal_grace_secs: 60,
            at: now(),
        };
        db.detach(detach).await.unwrap();
        // The same answer, with the upload as it is now.
        let again = db.attach(first()).await.unwrap();
        let found = db.find_upload(upload.id).await.unwrap().unwrap();
        assert_eq!(found.status, Status::Detached);
        assert_eq!(again, Attached::Repeated(found));
        assert_eq!(rig.count("SELECT COUNT(*) FROM attachment_slots"), 0);
        rig.assert_events_are_gapless();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn detached_upload_is_due_in_its_bucket_after_its_grace_until_deleted() {
    for rig in Rig::each() {
        let db = rig.open();
        let upload = confirmed(&db).await;
        let due = async |secs| {
            let later = now() + TimeDelta::seconds(secs);
            let due = db.due_removals("media", later, 10).await.unwrap();
            due.iter().map(|upload| upload.id).collect::<Vec<_>>()
        };
        db.attach(attach(upload.id, to("42"))).await.unwrap();
        assert_eq!(due(1_000).await, []);
        let new = confirmed(&db).await;
        db.attach(attach(new.id, to("42"))).await.unwrap();
        assert_eq!(due(59).await, []);
        assert_eq!(due(60).await, [upload.id]);
        assert_eq!(
            db.due_removals("other", now() + TimeDelta::days(9), 10)
                .await,
            Ok(vec![])
        );
        db.move_status(Change {
            upload: upload.id,
            step: StatusStep::Delete,
            at: now(),
        })
        .await
        .unwrap();
        assert_eq!(due(60).await, [], "its deletion is pending");
        let pending_deletion = db
            .uploads_pending_deletion("media", UploadId::NONE, 10)
            .await
            .unwrap();
        assert_eq!(
            pending_deletion.iter().map(|it| it.id).collect::<Vec<_>>(),
            [upload.id]
        );
    }
}
