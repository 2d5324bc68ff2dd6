//! A database that accepts everything and answers nothing: nobody waits for it longer than once.

use std::time::{Duration, Instant};

use futures::future::join_all;
use secrecy::SecretString;

use super::proxy::Proxy;
use super::support::{Rig, new_upload, now};
use crate::db::connection::AnyConnection;
use crate::db::queue::Write;
use crate::db::trouble::Failure;
use crate::db::{Db, DbOptions, DbTrouble};
use crate::domain::ids::UploadId;
use crate::telemetry::metrics::Metrics;

/// Keeps the writer for so long, and then changes nothing.
struct Slow(Duration);

impl Write for Slow {
    type Answer = ();

    fn upload(&self) -> UploadId {
        UploadId::new(now(), &[0; 10])
    }

    fn write(&self, _: &mut AnyConnection) -> Result<(), Failure> {
        std::thread::sleep(self.0);
        Err(DbTrouble::Internal("on purpose".to_owned()).into())
    }
}

fn through(proxy: &Proxy, write_wait_ms: u64) -> Db {
    let options = DbOptions {
        write_wait_ms,
        ..DbOptions::new(SecretString::from(proxy.url.as_str()))
    };
    Db::open(options, Metrics::new()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_a_batch_whose_commit_has_no_answer_waits_for_one_connect_and_not_for_one_an_item() {
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
    let answers = join_all((0..20).map(|_| db.create(new_upload("user:1")))).await;
    let took = began.elapsed();
    let all = |trouble: DbTrouble| {
        answers
            .iter()
            .all(|answer| answer.as_ref().err() == Some(&trouble))
    };
    assert!(all(DbTrouble::Unknown), "{answers:?}");
    assert!(took < Duration::from_secs(12), "{took:?}");
    assert!(proxy.lost_one() && busy.await.unwrap().is_err());
    assert_eq!(rig.count("SELECT COUNT(*) FROM uploads"), 20);
}
