//! A database that accepts everything and answers nothing: only the callers of the first batch wait for it.

use std::time::{Duration, Instant};

use futures::future::join_all;
use secrecy::SecretString;

use super::proxy::Proxy;
use super::support::{Rig, new_upload, now, open};
use crate::config::Database;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::Failure;
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::db::{Db, DbError};
use crate::domain::ids::UploadId;

/// Occupies the writer for this long, and changes nothing.
struct Slow(Duration);

impl Write for Slow {
    type Answer = ();

    fn upload(&self) -> UploadId {
        UploadId::new(now(), &[0; 10])
    }

    fn write(&self, _: &mut AnyConnection, _: &mut CounterDeltas) -> Result<(), Failure> {
        std::thread::sleep(self.0);
        Err(DbError::Internal("on purpose".to_owned()).into())
    }
}

fn through(proxy: &Proxy, write_wait_ms: u64) -> Db {
    open(Database {
        write_wait_ms,
        ..Database::with_url(SecretString::from(proxy.url.as_str()))
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_with_an_unanswered_commit_waits_for_one_connect() {
    let Some(rig) = Rig::postgres() else { return };
    let proxy = Proxy::before(&rig);
    let db = through(&proxy, 30_000);
    // The writer is busy meanwhile, so that the creates share a batch.
    let busy = tokio::spawn({
        let db = db.clone();
        async move { db.queue.submit(Slow(Duration::from_millis(300))).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    proxy.lose_next_commit();
    proxy.set_deaf(true);
    let began = Instant::now();
    let answers = join_all((0..20).map(|_| db.create_one(new_upload("user:1")))).await;
    let took = began.elapsed();
    let all = |error: DbError| {
        answers
            .iter()
            .all(|answer| answer.as_ref().err() == Some(&error))
    };
    assert!(all(DbError::Unknown), "{answers:?}");
    assert!(took < Duration::from_secs(12), "{took:?}");
    assert!(proxy.lost_one() && busy.await.unwrap().is_err());
    assert_eq!(rig.count("SELECT COUNT(*) FROM uploads"), 20);
}

/// New calls fail at once, and nothing is queued.
async fn fails_at_once(db: &Db) {
    let began = Instant::now();
    let create = db.create_one(new_upload("user:1")).await;
    assert_eq!(create.err(), Some(DbError::Unavailable));
    assert_eq!(db.ping().await, Err(DbError::Unavailable));
    let took = began.elapsed();
    assert!(took < Duration::from_millis(300), "{took:?}");
}

async fn serves_again(db: &Db) {
    let back = Instant::now();
    while db.ping().await.is_err() || db.create_one(new_upload("user:1")).await.is_err() {
        assert!(back.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_fail_at_once_while_a_batch_hangs() {
    for rig in Rig::each() {
        let db = open(Database {
            write_wait_ms: 500,
            ..rig.options()
        })
        .unwrap();
        db.ping().await.unwrap();
        let hanging = db.queue.submit(Slow(Duration::from_secs(2))).await;
        assert_eq!(hanging, Err(DbError::Unknown));
        tokio::time::sleep(Duration::from_millis(100)).await;
        fails_at_once(&db).await;
        serves_again(&db).await;
        assert_eq!(rig.count("SELECT COUNT(*) FROM uploads"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connection_costs_one_wait_for_all_callers() {
    let Some(rig) = Rig::postgres() else { return };
    let proxy = Proxy::before(&rig);
    let db = through(&proxy, 1_000);
    db.ping().await.unwrap();
    proxy.set_silent(true);
    let first = db.create_one(new_upload("user:1")).await;
    assert_eq!(first.err(), Some(DbError::Unknown));
    tokio::time::sleep(Duration::from_millis(200)).await;
    fails_at_once(&db).await;
    fails_at_once(&db).await;
    proxy.set_silent(false);
    proxy.set_down(true);
    proxy.set_down(false);
    serves_again(&db).await;
}
