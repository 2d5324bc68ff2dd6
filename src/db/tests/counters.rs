//! Counters: they agree with the rows after every change, in every order, and with several writers.

use std::sync::atomic::Ordering;

use futures::future::join_all;

use super::grants::{mint, under, used};
use super::support::{Creation, Rig, create, new_upload, now, open_attempt, record, verified};
use crate::db::{
    Change, Confirm, Db, IdempotencyClaim, NewUpload, NotCreated, OverQuota, PendingQuota,
    StatusStep, Transition,
};
use crate::domain::ids::UploadId;
use crate::domain::upload::{ConfirmedBy, Status, Upload};
use crate::telemetry::metrics::Metrics;

const UPLOADS: PendingQuota = PendingQuota {
    uploads: 10,
    bytes: 0,
};

pub fn limited(rig: &Rig, quota: PendingQuota) -> Db {
    Db::open(&rig.options(), Vec::new(), quota, Metrics::new()).unwrap()
}

/// Asserts that every counter is the sum of its rows.
#[track_caller]
pub fn assert_counters_agree(rig: &Rig) {
    let wrong = |rows: &str, counters: &str, names: &str| {
        rig.count(&format!(
            "SELECT COUNT(*) FROM (SELECT {names} FROM ({rows} UNION ALL {counters}) AS both_of_them GROUP BY {names} \
             HAVING SUM(n) <> 0 OR SUM(b) <> 0) AS wrong"
        ))
    };
    let usage = wrong(
        "SELECT owner, 1 AS n, size AS b FROM uploads WHERE status = 'pending'",
        "SELECT owner, -pending_count, -pending_bytes FROM owner_usage",
        "owner",
    );
    let counts = wrong(
        "SELECT field, status, 1 AS n, size AS b FROM uploads",
        "SELECT field, status, -count, -bytes FROM upload_counts",
        "field, status",
    );
    assert_eq!((usage, counts), (0, 0));
}

pub async fn moved(db: &Db, upload: UploadId, step: StatusStep) -> Transition {
    let at = now();
    db.move_status(Change { upload, step, at }).await.unwrap()
}

fn over(answers: &[Creation]) -> usize {
    let refused = answers
        .iter()
        .filter(|it| matches!(it, Err(NotCreated::OverQuota(_))));
    refused.count()
}

async fn ask(db: &Db, new: NewUpload) -> Creation {
    db.create(new, None).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_of_an_upload_changes_the_counters() {
    for rig in Rig::each() {
        let db = rig.open();
        let uploads: Vec<Upload> =
            join_all((0..6).map(|_| async { create(&db).await.into_upload() })).await;
        assert_counters_agree(&rig);
        moved(&db, uploads[0].id, StatusStep::Cancel).await;
        moved(&db, uploads[1].id, StatusStep::Expire).await;
        moved(&db, uploads[1].id, StatusStep::Expire).await;
        let key = open_attempt(&db, uploads[2].id).await;
        let reject = StatusStep::Reject {
            errors: Vec::new(),
            attempt: key,
        };
        moved(&db, uploads[2].id, reject).await;
        for upload in &uploads[3..5] {
            let key = open_attempt(&db, upload.id).await;
            record(&db, upload, &key).await;
        }
        moved(&db, uploads[3].id, StatusStep::Delete).await;
        assert_counters_agree(&rig);
        let statuses: Vec<(Status, u64)> = db
            .stats()
            .await
            .unwrap()
            .groups
            .iter()
            .map(|it| (it.status, it.count))
            .collect();
        let expected = [
            (Status::Canceled, 1),
            (Status::Confirmed, 1),
            (Status::Deleted, 1),
            (Status::Expired, 1),
            (Status::Pending, 1),
            (Status::Rejected, 1),
        ];
        assert_eq!(statuses, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_creates_within_the_quota_and_refuses_the_rest() {
    for rig in Rig::each() {
        let db = limited(&rig, UPLOADS);
        // A new owner whose first batch is over the quota, one within it, and a grant and keys among the refused creates.
        let grant = mint(&db, 50).await;
        let all = (0..90).map(|n| {
            let (db, grant) = (&db, &grant);
            async move {
                let new = match n % 3 {
                    0 => new_upload("user:many"),
                    1 if n < 10 => new_upload("user:few"),
                    1 => new_upload(&format!("user:{n}")),
                    _ => under(grant, now()),
                };
                let claim = (n % 2 == 0).then(|| IdempotencyClaim {
                    issuer: "users".into(),
                    subject: "1".into(),
                    route: "POST /v1/uploads".into(),
                    key: n.to_string(),
                    body_hash: "x".into(),
                    result_id: new.id.to_string(),
                    at: now(),
                });
                db.create(new, claim).await.unwrap()
            }
        });
        let answers: Vec<Creation> = join_all(all).await;
        let of = |rest: usize| -> Vec<Creation> {
            answers.iter().skip(rest).step_by(3).cloned().collect()
        };
        assert_eq!((over(&of(0)), over(&of(1)), over(&of(2))), (20, 0, 20));
        let refusal = of(0).into_iter().find_map(|it| match it {
            Err(NotCreated::OverQuota(over)) => Some(over),
            _ => None,
        });
        let refusal = refusal.unwrap();
        assert_eq!(
            refusal,
            OverQuota::Uploads {
                pending: 10,
                limit: 10
            }
        );
        assert_eq!(used(&db, &grant).await, 10, "refused creates use nothing");
        let keys = rig.count("SELECT COUNT(*) FROM idempotency_keys");
        let made = answers.len() - 40;
        assert!(keys > 0 && keys < made as i64);
        assert_eq!(rig.count("SELECT COUNT(*) FROM uploads"), made as i64);
        assert_counters_agree(&rig);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_share_one_quota_and_ended_uploads_release_it() {
    for rig in Rig::each() {
        let (one, other) = (limited(&rig, UPLOADS), limited(&rig, UPLOADS));
        for round in 0..6 {
            let asking = (0..64).map(|n| ask([&one, &other][n % 2], new_upload("user:1")));
            let answers: Vec<Creation> = join_all(asking).await;
            assert_eq!(answers.len() - over(&answers), 10, "round {round}");
            let made = answers.iter().filter_map(|it| match it {
                Ok(issued) => Some(issued.upload().clone()),
                _ => None,
            });
            // Uploads end while others are created: reservations and releases meet in one batch.
            let ending = made.enumerate().map(|(n, upload)| {
                let (one, other) = (&one, &other);
                async move {
                    match n % 3 {
                        0 => drop(moved(one, upload.id, StatusStep::Cancel).await),
                        1 => drop(moved(other, upload.id, StatusStep::Expire).await),
                        _ => {
                            let key = open_attempt(one, upload.id).await;
                            drop(record(other, &upload, &key).await);
                        }
                    }
                    drop(ask(one, new_upload("user:2")).await);
                }
            });
            join_all(ending).await;
            assert_counters_agree(&rig);
        }
        assert_eq!(
            rig.count("SELECT COUNT(*) FROM uploads WHERE owner = 'user:2' AND status = 'pending'"),
            10
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn byte_quota_refuses_a_large_upload_and_admits_a_small_one() {
    for rig in Rig::each() {
        let quota = PendingQuota {
            uploads: 0,
            bytes: 350,
        };
        let db = limited(&rig, quota);
        let answers = join_all((0..5).map(|_| ask(&db, new_upload("user:1")))).await;
        assert_eq!(over(&answers), 2);
        let small = NewUpload {
            admitted: super::support::admitted("Product.image", 50),
            ..new_upload("user:1")
        };
        assert!(ask(&db, small).await.is_ok());
        let refused = ask(&db, new_upload("user:1")).await;
        let refusal = OverQuota::Bytes {
            pending: 350,
            limit: 350,
        };
        assert_eq!(refused, Err(NotCreated::OverQuota(refusal)));
        assert_counters_agree(&rig);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_two_writers_on_the_same_rows_never_deadlock() {
    let Some(rig) = Rig::postgres() else { return };
    let (one, other) = (rig.open(), rig.open());
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    for _ in 0..8 {
        let made =
            join_all((0..40).map(|n| one.create_one(new_upload(&format!("user:{}", n % 7)))));
        let made: Vec<Upload> = made
            .await
            .into_iter()
            .map(|it| it.unwrap().into_upload())
            .collect();
        let steps = (0..160).map(|n| {
            let (db, upload) = ([&one, &other][n % 2], &made[(n * 7) % 40]);
            async move {
                match n % 4 {
                    0 => drop(db.create_one(new_upload(&upload.owner)).await.unwrap()),
                    1 => drop(moved(db, upload.id, StatusStep::Cancel).await),
                    2 => drop(moved(db, upload.id, StatusStep::Expire).await),
                    _ => {
                        let key = open_attempt(db, upload.id).await;
                        let confirm = Confirm {
                            verified: verified(upload, &key),
                            by: ConfirmedBy::Client,
                            attach: None,
                            at: now(),
                        };
                        drop(db.confirm(confirm).await.unwrap());
                    }
                }
            }
        });
        join_all(steps).await;
    }
    assert_counters_agree(&rig);
    rig.execute("SELECT pg_stat_force_next_flush()");
    assert_eq!(rig.count(deadlocks), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_with_a_lost_answer_is_counted_once() {
    for rig in Rig::each() {
        let db = limited(&rig, UPLOADS);
        db.queue.state.lose_answer.store(true, Ordering::Release);
        let upload = create(&db).await.into_upload();
        db.queue.state.lose_answer.store(true, Ordering::Release);
        moved(&db, upload.id, StatusStep::Cancel).await;
        assert_counters_agree(&rig);
    }
}
