//! The check of the counters: a counter that differs from its rows is found, and corrected once.

use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use futures::future::join_all;

use super::counters::{assert_counters_agree, limited, moved};
use super::support::{Rig, create, field, new_upload, new_upload_for, now};
use crate::db::ops::counter_check::{Correct, LEASE};
use crate::db::{Counter, CounterDifference, Db, Lease, PendingQuota, StatusStep};
use crate::domain::upload::{Status, Upload};

async fn create_for(db: &Db, n: usize) -> Upload {
    let new = new_upload(&format!("user:{}", 20 + n % 3));
    db.create_one(new).await.unwrap().into_upload()
}

async fn corrected(db: &Db) -> usize {
    let token = format!("{:x}", rand::random::<u64>());
    let check = db.correct_counters(&token, chrono::Utc::now()).await;
    check.unwrap().expect("no other runs").differing.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn correction_beside_other_changes_makes_counters_agree() {
    for rig in Rig::each() {
        let db = limited(&rig, PendingQuota::default());
        for n in 0..12 {
            db.create_one(new_upload(&format!("user:{n}")))
                .await
                .unwrap();
        }
        let manual = new_upload_for("Product.manual", "user:gone", now());
        db.create_one(manual).await.unwrap();
        // No counter changes with these rows.
        rig.execute(
            "UPDATE uploads SET status = 'expired', version = version + 1 WHERE owner < 'user:2'",
        );
        rig.execute("UPDATE uploads SET owner = 'user:9' WHERE status = 'pending' AND field = 'Product.image'");
        let meanwhile = join_all((0..20).map(|n| {
            let db = &db;
            async move {
                let upload = create_for(db, n).await;
                moved(db, upload.id, StatusStep::Cancel).await;
            }
        }));
        let (healed, _) = tokio::join!(corrected(&db), meanwhile);
        assert!(healed > 0);
        assert_counters_agree(&rig);
        assert_eq!(corrected(&db).await, 0);
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
async fn check_reports_each_difference_and_changes_nothing() {
    for rig in Rig::each() {
        let db = rig.open();
        create(&db).await;
        assert_eq!(db.check_counters().await, Ok(Default::default()));
        rig.execute("UPDATE owner_usage SET pending_count = 7, pending_bytes = 5");
        rig.execute("UPDATE upload_counts SET count = 9");
        let pending = CounterDifference {
            counter: Counter::Pending {
                owner: "user:1".to_owned(),
            },
            uploads: -6,
            bytes: 95,
        };
        let uploads = CounterDifference {
            counter: Counter::Uploads {
                field: "Product.image".to_owned(),
                status: Status::Pending,
            },
            uploads: -8,
            bytes: 0,
        };
        for _ in 0..2 {
            let check = db.check_counters().await.unwrap();
            assert_eq!(check.differing, [pending.clone(), uploads.clone()]);
            assert!(!check.more);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn corrections_at_once_add_each_difference_once() {
    for rig in Rig::each() {
        let brokers: Vec<Db> = (0..4).map(|_| rig.open()).collect();
        create(&brokers[0]).await;
        rig.execute("UPDATE owner_usage SET pending_count = 7, pending_bytes = 5");
        rig.execute("UPDATE upload_counts SET count = 9");
        let tokens = ["a", "b", "c", "d"];
        let corrections = brokers
            .iter()
            .zip(tokens)
            .map(|(db, token)| db.correct_counters(token, chrono::Utc::now()));
        let done: Vec<_> = join_all(corrections)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let corrected: usize = done.iter().flatten().map(|it| it.differing.len()).sum();
        assert_eq!(corrected, 2, "{done:?}");
        assert_counters_agree(&rig);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn correction_with_a_lost_answer_is_added_once() {
    for rig in Rig::each() {
        let db = rig.open();
        create(&db).await;
        rig.execute("UPDATE owner_usage SET pending_count = 7");
        let at = chrono::Utc::now();
        let lease = Lease {
            name: LEASE,
            holder: "a".to_owned(),
            at,
            until: at + TimeDelta::seconds(60),
        };
        assert_eq!(db.acquire_lease(lease).await, Ok(true));
        let correct = || Correct {
            token: "a".to_owned(),
            differing: vec![CounterDifference {
                counter: Counter::Pending {
                    owner: "user:1".to_owned(),
                },
                uploads: -6,
                bytes: 0,
            }],
        };
        db.queue.state.lose_answer.store(true, Ordering::Release);
        assert_eq!(db.queue.submit(correct()).await, Ok(true));
        assert_counters_agree(&rig);
        let other = Correct {
            token: "b".to_owned(),
            ..correct()
        };
        assert_eq!(db.queue.submit(other).await, Ok(false));
        assert_counters_agree(&rig);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pruned_usage_is_that_of_owners_with_nothing_pending() {
    for rig in Rig::each() {
        let db = rig.open();
        let ended = create(&db).await.into_upload();
        moved(&db, ended.id, StatusStep::Cancel).await;
        let kept = create_for(&db, 0).await;
        let owners = |owner: &str| {
            rig.count(&format!(
                "SELECT COUNT(*) FROM owner_usage WHERE owner = '{owner}'"
            ))
        };
        assert_eq!((owners(&ended.owner), owners(&kept.owner)), (1, 1));
        assert_eq!(db.prune_usage(10).await, Ok(1));
        assert_eq!((owners(&ended.owner), owners(&kept.owner)), (0, 1));
        assert_eq!(db.prune_usage(10).await, Ok(0));
        assert_counters_agree(&rig);
    }
}
