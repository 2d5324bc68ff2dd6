//! Several sweepers beside callers that confirm: each upload moves once, and nothing that was confirmed is lost.
//!
//!     BYTEPASS_TEST_SWEPT=500 tests/run -- sweeper::races     uploads in the race; 60 by default

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytepass::broker::{Broker, SweepKind, SweepWalk};
use futures::StreamExt as _;
use serde_json::json;

use crate::support::setting;
use crate::support::sweeps::{age_attempts, broker_without_server, overdue, swept};
use crate::support::test_env::{Broker as Served, TestEnv};
use crate::support::upload_rows::StoredUploads;
use crate::support::upload_steps::eventually;

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes that were meant";
const KINDS: [SweepKind; 4] = [
    SweepKind::Pending,
    SweepKind::Attempts,
    SweepKind::PendingDeletion,
    SweepKind::Staging,
];

/// Sweeps without a lease, so that all sweepers meet at the same rows.
async fn sweep_until(broker: Broker, done: Arc<AtomicBool>) {
    while !done.load(Ordering::SeqCst) {
        for kind in KINDS {
            // Another sweeper may hold the lock too long: then the next round does it.
            let _ = broker.sweep(&mut SweepWalk::new(kind, 50)).await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn staged(test_env: &TestEnv, served: &Served, count: usize) -> Vec<String> {
    let user = served.user();
    let staging = (0..count).map(|_| user.stage("Product.image", JPEG, "image/jpeg"));
    let created: Vec<_> = futures::stream::iter(staging).buffered(16).collect().await;
    overdue(test_env, 600);
    created.iter().map(|it| it.id().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn four_sweepers_racing_all_clients_confirm_each_upload_once() {
    let count = setting("BYTEPASS_TEST_SWEPT").map_or(60, |it| it.parse().expect("a number"));
    let test_env = TestEnv::new().await;
    let served = test_env.broker().await;
    let ids = staged(&test_env, &served, count).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut sweepers = Vec::new();
    for _ in 0..4 {
        let broker = broker_without_server(&test_env, json!({})).await;
        sweepers.push(tokio::spawn(sweep_until(broker, done.clone())));
    }
    let user = served.user();
    let confirming = ids.iter().map(async |id| {
        // Now and then every attempt that is under way is old enough to be given up.
        if id.ends_with(['0', '4', '8', 'c', 'g', 'm']) {
            age_attempts(&test_env, 7_200);
        }
        let end = std::time::Instant::now() + Duration::from_secs(120);
        while user.confirm(id).await.status != 200 {
            assert!(std::time::Instant::now() < end, "{id} is never confirmed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    futures::stream::iter(confirming)
        .buffer_unordered(16)
        .collect::<Vec<()>>()
        .await;
    done.store(true, Ordering::SeqCst);
    for sweeper in sweepers {
        sweeper.await.expect("no panic");
    }
    age_attempts(&test_env, 7_200);
    let last = broker_without_server(&test_env, json!({})).await;
    swept(&last, SweepKind::Attempts).await;

    let mut records = StoredUploads::of(&test_env.database);
    let mut keys = Vec::new();
    for row in records.uploads() {
        assert_eq!(
            (row.status.as_str(), row.version),
            ("confirmed", 1),
            "{row:?}"
        );
        let events = records.events(&row.id);
        assert_eq!(events.len(), 1, "{events:?}");
        let key = row.object_key.expect("a key");
        assert_eq!(
            test_env.bucket.get(&key).await.as_deref(),
            Some(JPEG),
            "{key}"
        );
        keys.push(key);
    }
    keys.sort_unstable();
    assert_eq!(keys.len(), count);
    // Exactly these: every unused copy was removed.
    let left: Vec<String> = test_env.bucket.list("media/").await.into_keys().collect();
    assert_eq!(left, keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_broker_sweeps_at_a_time_and_another_takes_over_when_it_stops() {
    let test_env = TestEnv::new().await;
    // A lease far longer than the test: the other broker can only get it after a release.
    let sweeper = json!({"enabled": true, "interval_secs": 1, "lease_secs": 3600});
    let first = test_env.broker_with(json!({ "sweeper": sweeper })).await;
    let ids = staged(&test_env, &first, 1).await;
    let user = first.user();
    let is_confirmed = async || user.read(&ids[0]).await.json["status"] == "confirmed";
    eventually("the first broker sweeps", is_confirmed).await;
    let second = test_env.broker_with(json!({ "sweeper": sweeper })).await;
    let outsider = broker_without_server(&test_env, json!({})).await;
    // As long as the first one's: a lease far longer than its own would look like that of a clock that is ahead.
    let theirs = outsider.acquire_sweep(SweepKind::Pending, 3600).await;
    assert!(!theirs.expect("an answer"), "it is the first one's turn");
    drop(first);
    let ids = staged(&test_env, &second, 1).await;
    let user = second.user();
    let is_confirmed = async || user.read(&ids[0]).await.json["status"] == "confirmed";
    eventually("the second broker sweeps", is_confirmed).await;
}
