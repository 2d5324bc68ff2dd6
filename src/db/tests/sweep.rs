//! Leases, and the queries and changes of the sweeper.

use chrono::TimeDelta;

use super::support::{Rig, create, field, new_upload_for, now, open_attempt, record};
use crate::db::{Lease, StatusStep, Transition};
use crate::domain::ids::UploadId;

fn lease(holder: &str, from_secs: i64, to_secs: i64) -> Lease {
    Lease {
        name: "sweep-pending",
        holder: holder.to_owned(),
        at: now() + TimeDelta::seconds(from_secs),
        until: now() + TimeDelta::seconds(to_secs),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lease_is_exclusive_until_its_end_or_release() {
    for rig in Rig::each() {
        let (one, other) = (rig.open(), rig.open());
        assert_eq!(one.acquire_lease(lease("one", 0, 60)).await, Ok(true));
        assert_eq!(other.acquire_lease(lease("other", 1, 90)).await, Ok(false));
        assert_eq!(one.acquire_lease(lease("one", 2, 80)).await, Ok(true));
        assert_eq!(other.acquire_lease(lease("other", 61, 90)).await, Ok(false));
        assert_eq!(other.acquire_lease(lease("other", 80, 90)).await, Ok(true));
        one.release_lease("sweep-pending", "one").await.unwrap();
        assert_eq!(one.acquire_lease(lease("one", 81, 99)).await, Ok(false));
        other.release_lease("sweep-pending", "other").await.unwrap();
        assert_eq!(one.acquire_lease(lease("one", 81, 99)).await, Ok(true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lease_of_a_clock_a_day_ahead_is_taken_over() {
    const DAY_SECS: i64 = 86_400;
    for rig in Rig::each() {
        let (ahead, other) = (rig.open(), rig.open());
        let tomorrow = lease("ahead", DAY_SECS, DAY_SECS + 60);
        assert_eq!(ahead.acquire_lease(tomorrow).await, Ok(true));
        assert_eq!(other.acquire_lease(lease("other", 0, 60)).await, Ok(true));
        // A lease a little ahead is respected.
        assert_eq!(ahead.acquire_lease(lease("ahead", 30, 90)).await, Ok(false));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lease_acquired_concurrently_has_one_holder() {
    for rig in Rig::each() {
        let brokers: Vec<_> = (0..6).map(|_| rig.open()).collect();
        let asking = brokers
            .iter()
            .enumerate()
            .map(|(n, db)| async move { db.acquire_lease(lease(&n.to_string(), 0, 60)).await });
        let answers = futures::future::join_all(asking).await;
        let won = answers.iter().filter(|answer| **answer == Ok(true)).count();
        assert_eq!(won, 1, "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postponed_upload_is_due_again_and_delays_no_other() {
    for rig in Rig::each() {
        let db = rig.open();
        let first = create(&db).await.into_upload();
        let mut later = new_upload_for("Product.image", "user:1", now());
        later.expires_at = first.expires_at + TimeDelta::seconds(9);
        let second = db.create_one(later).await.unwrap().into_upload();
        let ids = |secs: i64, limit| {
            let (db, at) = (db.clone(), first.expires_at + TimeDelta::seconds(secs));
            async move {
                let due = db.due_uploads(at, limit).await.unwrap();
                due.into_iter().map(|due| due.id).collect::<Vec<_>>()
            }
        };
        assert_eq!(ids(-1, 9).await, []);
        assert_eq!(ids(0, 9).await, [first.id]);
        assert_eq!(ids(20, 1).await, [first.id]);
        let until = first.expires_at + TimeDelta::seconds(60);
        let problem = "copy-object: timeout".to_owned();
        db.postpone(first.id, until, problem).await.unwrap();
        assert_eq!(ids(20, 1).await, [second.id], "the next one is due");
        assert_eq!(ids(60, 9).await, [second.id, first.id]);
        assert_eq!(
            rig.count("SELECT COUNT(*) FROM uploads WHERE last_problem = 'copy-object: timeout'"),
            1
        );
        assert_eq!(
            rig.count("SELECT COUNT(*) FROM uploads WHERE version <> 0"),
            0
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_pending_deletion_are_old_abandoned_and_never_recorded() {
    for rig in Rig::each() {
        let db = rig.open();
        let upload = create(&db).await.into_upload();
        let lost = open_attempt(&db, upload.id).await;
        let kept = open_attempt(&db, upload.id).await;
        record(&db, &upload, &kept).await;
        let later = now() + TimeDelta::hours(1);
        let earlier = now() - TimeDelta::hours(1);
        assert_eq!(db.stale_attempts(earlier, 9).await, Ok(Vec::new()));
        let stale = db.stale_attempts(later, 9).await.unwrap();
        assert_eq!(stale.len(), 1);
        assert_eq!(stale[0].key, lost);
        let pending_deletion =
            |before, after| db.copies_pending_deletion("media", before, after, 9);
        assert_eq!(
            pending_deletion(later, None).await,
            Ok(Vec::new()),
            "still open"
        );
        db.abandon_attempt(upload.id, &lost).await.unwrap();
        assert_eq!(
            pending_deletion(earlier, None).await,
            Ok(Vec::new()),
            "too young"
        );
        let found = pending_deletion(later, None).await.unwrap();
        assert_eq!(found, stale);
        let behind = found.last().cloned();
        assert_eq!(pending_deletion(later, behind).await, Ok(Vec::new()));
        let elsewhere = db.copies_pending_deletion("another", later, None, 9).await;
        assert_eq!(elsewhere, Ok(Vec::new()));
        // Even a row that was damaged with SQL does not make the object of an upload pending deletion.
        rig.execute("UPDATE seal_attempts SET state = 'abandoned' WHERE state = 'recorded'");
        assert_eq!(pending_deletion(later, None).await.unwrap(), stale);
        db.attempt_removed(upload.id, lost, now()).await.unwrap();
        assert_eq!(pending_deletion(later, None).await, Ok(Vec::new()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unattached_upload_is_deleted_once_and_only_while_confirmed() {
    for rig in Rig::each() {
        let (db, other) = (rig.open(), rig.open());
        let upload = create(&db).await.into_upload();
        let pending = db.delete_unattached(upload.id, now()).await;
        assert_eq!(pending, Ok(Transition::Stale(upload.clone())));
        let key = open_attempt(&db, upload.id).await;
        record(&db, &upload, &key).await;
        let of = |secs| {
            let before = now() + TimeDelta::seconds(secs);
            db.unattached_uploads("media", field("Product.image"), before, 9)
        };
        assert_eq!(of(-1).await, Ok(Vec::new()));
        assert_eq!(of(1).await.unwrap().len(), 1);
        let both = tokio::join!(
            db.delete_unattached(upload.id, now()),
            other.delete_unattached(upload.id, now())
        );
        let moved = [both.0.unwrap(), both.1.unwrap()]
            .iter()
            .filter(|it| matches!(it, Transition::Moved(_)))
            .count();
        assert_eq!(moved, 1, "one of two brokers moved it");
        rig.assert_events_are_gapless();
        assert_eq!(of(1).await, Ok(Vec::new()));
        let pending_deletion = db
            .uploads_pending_deletion("media", UploadId::NONE, 9)
            .await
            .unwrap();
        assert_eq!(pending_deletion.len(), 1);
        let behind = db.uploads_pending_deletion("media", upload.id, 9).await;
        assert_eq!(behind, Ok(Vec::new()));
        db.object_removed(upload.id, now()).await.unwrap();
        let none = db
            .uploads_pending_deletion("media", UploadId::NONE, 9)
            .await;
        assert_eq!(none, Ok(Vec::new()));
        let change = crate::db::Change {
            upload: upload.id,
            step: StatusStep::Expire,
            at: now(),
        };
        let late = db.move_status(change).await.unwrap();
        assert!(matches!(late, Transition::Stale(_)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_detached_meanwhile_keeps_its_grace() {
    for rig in Rig::each() {
        let db = rig.open();
        let upload = create(&db).await.into_upload();
        let key = open_attempt(&db, upload.id).await;
        record(&db, &upload, &key).await;
        for status in ["attached", "detached"] {
            rig.execute(&format!("UPDATE uploads SET status = '{status}'"));
            let answer = db.delete_unattached(upload.id, now()).await.unwrap();
            assert!(matches!(answer, Transition::Stale(_)), "{status}");
        }
    }
}
