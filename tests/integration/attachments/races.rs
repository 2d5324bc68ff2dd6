//! Attaches that race over two brokers: an upload has one record, a single field one upload, and every event happens once.

use std::time::Duration;

use futures::future::join_all;

use crate::attachments::{confirmed, ids};
use crate::support::rows::Rows;
use crate::support::statuses;
use crate::support::test_env::{Broker, TestEnv};
use crate::support::upload_rows::is_retryable;

/// Fails the test unless every upload's events are numbered without a gap and end where the upload is.
fn events_are_whole(rows: &Rows) {
    let wrong = rows.lines(
        "SELECT id AS line FROM uploads u WHERE version <> (SELECT COUNT(*) FROM events e WHERE e.upload_id = u.id) \
         OR version <> (SELECT MAX(seq) FROM events e WHERE e.upload_id = u.id) \
         OR NOT EXISTS (SELECT 1 FROM events e WHERE e.upload_id = u.id AND e.seq = u.version AND e.type = 'upload.' || u.status)",
    );
    assert_eq!(wrong, [] as [&str; 0]);
}

async fn both(test_env: &TestEnv) -> [Broker; 2] {
    [test_env.broker().await, test_env.broker().await]
}

#[tokio::test]
async fn sixty_four_concurrent_attaches_of_one_upload_leave_one_attachment() {
    let test_env = TestEnv::new().await;
    let brokers = both(&test_env).await;
    let backends = brokers.each_ref().map(|broker| broker.service());
    let rows = Rows::of(&test_env);
    for field in ["Product.image", "ProductImage.image", "Product.image"] {
        let id = confirmed(&brokers[0].user(), field).await;
        let attaches = (0..64).map(|n| {
            let (backend, id) = (backends[n % 2].clone(), id.clone());
            async move { backend.attach(&id, &n.to_string()).await }
        });
        let answers = join_all(attaches).await;
        let mut winners = Vec::new();
        for (n, answer) in answers.into_iter().enumerate() {
            if answer.status == 200 {
                assert_eq!(answer.json["object_id"], n.to_string());
                winners.push(n.to_string());
            } else {
                answer.expect_problem(409, "already-attached");
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        let read = backends[0].read(&id).await.expect(200);
        assert_eq!(read.json["object_id"], winners[0]);
        assert_eq!(
            rows.events(&id),
            ["1 upload.confirmed", "2 upload.attached"]
        );
        let model = field.split('.').next().expect("a model");
        for n in 0..64 {
            let path = format!("/v1/attachments/{model}/{n}");
            let list = backends[1].get(&path).await.expect(200);
            let here = winners[0] == n.to_string();
            assert_eq!(ids(&list).contains(&&*id), here, "{n}");
        }
        backends[0].detach(&id).await.expect(200);
        let slots = rows.lines("SELECT object_id AS line FROM attachment_slots");
        assert_eq!(slots, [] as [&str; 0], "the losers left none");
    }
    events_are_whole(&rows);
}

#[tokio::test]
async fn concurrent_replacements_by_two_brokers_leave_exactly_one_attached() {
    let test_env = TestEnv::new().await;
    let brokers = both(&test_env).await;
    let backends = brokers.each_ref().map(|broker| broker.service());
    let rows = Rows::of(&test_env);
    let mut all: Vec<String> = Vec::new();
    for _ in 0..3 {
        let mut new = Vec::new();
        for _ in 0..8 {
            new.push(confirmed(&brokers[0].user(), "Product.image").await);
        }
        // Each by both brokers, so that they compete for the same slot and rows.
        let attaches = new.iter().enumerate().flat_map(|(n, id)| {
            let order = [&backends[n % 2], &backends[(n + 1) % 2]];
            order.map(|backend| backend.attach(id, "42"))
        });
        for answer in join_all(attaches).await {
            match answer.status {
                200 => {}
                // The other broker's was first, and was replaced since.
                _ => {
                    let answer = answer.expect_problem(409, "wrong-status");
                    assert_eq!(answer.json["status_now"], "detached");
                }
            }
        }
        all.extend(new);
        let list = backends[0].get("/v1/attachments/Product/42").await;
        let list = list.expect(200);
        let left = ids(&list);
        assert_eq!(left.len(), 1, "{left:?}");
        let slots = rows.lines("SELECT upload_id AS line FROM attachment_slots");
        assert_eq!(slots, left);
        for id in all.iter().filter(|id| **id != left[0]) {
            let read = backends[1].read(id).await.expect(200);
            assert_eq!(read.json["status"], "detached");
            assert_eq!(rows.events(id).len(), 3);
        }
    }
    events_are_whole(&rows);
}

#[tokio::test]
async fn concurrent_attaches_detaches_and_deletes_end_without_500_and_without_loss() {
    const RECORDS: usize = 3;
    let test_env = TestEnv::new().await;
    let brokers = both(&test_env).await;
    let backends = brokers.each_ref().map(|broker| broker.service());
    let rows = Rows::of(&test_env);
    let mut uploads = Vec::new();
    for _ in 0..12 {
        uploads.push(confirmed(&brokers[0].user(), "Product.image").await);
    }
    let acts = (0..120).map(|n| {
        let backend = &backends[(n / 7) % 2];
        let id = uploads[n % uploads.len()].clone();
        let record = (n % RECORDS).to_string();
        async move {
            tokio::time::sleep(Duration::from_millis((n / 12) as u64 * 5)).await;
            let act = async || match n % 5 {
                0..3 => backend.attach(&id, &record).await,
                3 => backend.detach(&id).await,
                _ if n > 75 => backend.delete(&statuses::path(&id)).await,
                _ => backend.read(&id).await,
            };
            // On a slow machine a batch may hold a slot longer than another broker waits for it.
            let mut answer = act().await;
            for _ in 0..5 {
                if answer.status != 503 {
                    break;
                }
                is_retryable(&answer);
                answer = act().await;
            }
            answer
        }
    });
    for answer in join_all(acts).await {
        let told = (answer.status, answer.code());
        let known = [
            (200, ""),
            (204, ""),
            (409, "wrong-status"),
            (409, "already-attached"),
        ];
        assert!(known.contains(&told), "{answer:?}");
    }
    for record in 0..RECORDS {
        let path = format!("/v1/attachments/Product/{record}");
        let list = backends[0].get(&path).await.expect(200);
        let slot =
            format!("SELECT upload_id AS line FROM attachment_slots WHERE object_id = '{record}'");
        assert_eq!(rows.lines(&slot), ids(&list));
        assert!(ids(&list).len() <= 1);
    }
    events_are_whole(&rows);
}
