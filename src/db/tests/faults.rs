//! Lost answers, killed connections and panics: the outcome is read back or reported as unknown, and the writer continues.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use futures::future::join_all;
use secrecy::SecretString;

use super::proxy::Proxy;
use super::support::{Rig, create, new_upload, now, open, open_attempt, record};
use crate::config::Database;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::Failure;
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::db::{Change, Db, DbError, StatusStep, Transition};
use crate::domain::ids::UploadId;
use crate::domain::upload::Status;

/// Makes each kind of change with the answer of its commit lost by `lose`: the caller gets the outcome, and it happened once.
async fn every_change_is_read_back(rig: &Rig, db: &Db, lose: impl Fn()) {
    lose();
    let made = join_all((0..20).map(|_| db.create_one(new_upload("user:1")))).await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    assert_eq!(rig.count("SELECT COUNT(*) FROM uploads"), 20);
    let upload = made[0].as_ref().unwrap().upload().clone();

    lose();
    let key = open_attempt(db, upload.id).await;
    lose();
    let Transition::Moved(confirmed) = record(db, &upload, &key).await else {
        panic!("recorded")
    };
    assert_eq!(
        (confirmed.status, confirmed.version),
        (Status::Confirmed, 1)
    );
    lose();
    let delete = Change {
        upload: upload.id,
        step: StatusStep::Delete,
        at: now(),
    };
    let Ok(Transition::Moved(deleted)) = db.move_status(delete).await else {
        panic!("deleted")
    };
    assert_eq!(deleted.version, 2);
    let other = made[1].as_ref().unwrap().upload().id;
    let key = open_attempt(db, other).await;
    lose();
    let step = StatusStep::Reject {
        errors: Vec::new(),
        attempt: key,
    };
    let rejected = db
        .move_status(Change {
            upload: other,
            step,
            at: now(),
        })
        .await;
    assert!(matches!(rejected, Ok(Transition::Moved(_))), "{rejected:?}");
    let key = open_attempt(db, made[2].as_ref().unwrap().upload().id).await;
    lose();
    assert_eq!(
        db.abandon_attempt(made[2].as_ref().unwrap().upload().id, &key)
            .await,
        Ok(true)
    );
    rig.assert_events_are_gapless();
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_with_a_lost_answer_is_read_back() {
    for rig in Rig::each() {
        let db = rig.open();
        let state = db.queue.state.clone();
        every_change_is_read_back(&rig, &db, || {
            state.lose_answer.store(true, Ordering::SeqCst)
        })
        .await;
        assert!(!state.lose_answer.load(Ordering::SeqCst));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_whose_answer_the_network_lost_is_read_back() {
    let Some(rig) = Rig::postgres() else { return };
    let proxy = Proxy::before(&rig);
    let db = open(Database::with_url(SecretString::from(proxy.url.as_str()))).unwrap();
    every_change_is_read_back(&rig, &db, || {
        assert!(proxy.lost_one());
        proxy.lose_next_commit();
    })
    .await;
    assert!(proxy.lost_one());
}

#[tokio::test(flavor = "multi_thread")]
async fn outage_fails_fast_and_recovers_within_a_second() {
    let Some(rig) = Rig::postgres() else { return };
    let proxy = Proxy::before(&rig);
    let db = open(Database::with_url(SecretString::from(proxy.url.as_str()))).unwrap();
    let upload = create(&db).await.into_upload();
    db.ping().await.unwrap();

    proxy.set_down(true);
    let first = db.create_one(new_upload("user:1")).await;
    assert_eq!(first.err(), Some(DbError::Unavailable));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    let answers = join_all((0..50).map(|_| db.create_one(new_upload("user:1")))).await;
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Err(DbError::Unavailable)))
    );
    assert_eq!(db.ping().await, Err(DbError::Unavailable));
    assert!(
        began.elapsed() < Duration::from_millis(300),
        "{:?}",
        began.elapsed()
    );

    proxy.set_down(false);
    let back = Instant::now();
    while db.create_one(new_upload("user:1")).await.is_err() || db.ping().await.is_err() {
        assert!(
            back.elapsed() < Duration::from_millis(1_500),
            "{:?}",
            back.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(db.find_upload(upload.id).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_ended_by_the_server_are_replaced_without_errors() {
    let Some(rig) = Rig::postgres() else { return };
    let db = rig.open();
    for _ in 0..3 {
        let upload = create(&db).await.into_upload();
        join_all((0..16).map(|_| db.find_upload(upload.id))).await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        rig.connect().batch_execute(end).unwrap();
        let key = open_attempt(&db, upload.id).await;
        assert!(matches!(
            record(&db, &upload, &key).await,
            Transition::Moved(_)
        ));
        let found = join_all((0..16).map(|_| db.find_upload(upload.id))).await;
        assert!(
            found.iter().all(|found| matches!(found, Ok(Some(_)))),
            "{found:?}"
        );
    }
}

struct Panics;

impl Write for Panics {
    type Answer = ();

    fn upload(&self) -> UploadId {
        UploadId::new(now(), &[0; 10])
    }

    fn write(&self, _: &mut AnyConnection, _: &mut CounterDeltas) -> Result<(), Failure> {
        panic!("on purpose, in a test");
    }
}

/// Ends the writer's transaction inside it: on SQLite the rollback that follows fails.
struct RollsBack;

impl Write for RollsBack {
    type Answer = ();

    fn upload(&self) -> UploadId {
        UploadId::new(now(), &[0; 10])
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<(), Failure> {
        conn.batch_execute("ROLLBACK")?;
        Err(DbError::Internal("on purpose".to_owned()).into())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_with_a_failed_rollback_is_not_used_again() {
    for rig in Rig::each() {
        let db = rig.open();
        let refused = db.queue.submit(RollsBack).await;
        assert!(matches!(refused, Err(DbError::Internal(_))), "{refused:?}");
        let again = Instant::now();
        while db.create_one(new_upload("user:1")).await.is_err() {
            assert!(again.elapsed() < Duration::from_secs(2));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn panic_in_the_writer_answers_its_callers_and_the_writer_continues() {
    for rig in Rig::each() {
        let db = rig.open();
        assert_eq!(db.queue.submit(Panics).await, Err(DbError::Unknown));
        let again = Instant::now();
        while db.create_one(new_upload("user:1")).await.is_err() {
            assert!(again.elapsed() < Duration::from_secs(1));
        }
        db.ping().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pool_answers_after_a_thousand_panics_in_queries() {
    for rig in Rig::each() {
        let db = rig.open();
        create(&db).await;
        for _ in 0..50 {
            let reads = (0..20).map(|_| {
                db.readers
                    .read(|_| -> Result<(), Failure> { panic!("on purpose, in a test") })
            });
            for answer in join_all(reads).await {
                // Busy if no connection was free in time, because those of panics are replaced.
                let failed = matches!(answer, Err(DbError::Internal(_) | DbError::Busy));
                assert!(failed, "{answer:?}");
            }
        }
        let again = Instant::now();
        while db.ping().await.is_err() {
            assert!(again.elapsed() < Duration::from_secs(2), "no connection");
        }
        // More reads at once than connections: no permit is lost.
        let lists = (0..40).map(|_| db.stats());
        assert!(join_all(lists).await.iter().all(Result::is_ok));
    }
}
