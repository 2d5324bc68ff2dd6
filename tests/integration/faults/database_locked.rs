//! Another connection holds the database's write lock: writes fail in time, a full queue fails at once, and reads are not affected.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::test_env::TestEnv;
use crate::support::upload_rows::{StoredUploads, is_retryable};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";

#[tokio::test(flavor = "multi_thread")]
async fn locked_database_fails_writes_in_time_and_a_full_queue_at_once_and_serves_reads() {
    let test_env = TestEnv::new().await;
    let limits =
        json!({"queue_len": 4, "batch_max": 2, "write_wait_ms": 1500, "read_wait_ms": 2000});
    let broker = test_env.broker_with(json!({ "database": limits })).await;
    let (user, others) = (broker.user(), broker.user_named("2"));
    let created = user
        .create("Product.image", JPEG, "image/jpeg")
        .await
        .expect(201);
    let mut records = StoredUploads::of(&test_env.database);
    let before = records.uploads().len();
    records.lock_writes();

    let writes = futures::future::join_all((0..40).map(|_| async {
        let began = Instant::now();
        (
            user.create("Product.image", JPEG, "image/jpeg").await,
            began.elapsed(),
        )
    }));
    // Another owner, whose requests only read.
    let reads = async {
        for _ in 0..20 {
            let began = Instant::now();
            user.read(created.id()).await.expect(200);
            others.get("/v1/uploads").await.expect(200);
            broker.anonymous().get("/livez").await.expect(200);
            let took = began.elapsed();
            assert!(took < Duration::from_secs(1), "reads took {took:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (writes, ()) = tokio::join!(writes, reads);
    let at_once = writes
        .iter()
        .filter(|(_, took)| *took < Duration::from_millis(700))
        .count();
    assert!(
        at_once >= 20,
        "{at_once} of 40 learned at once that the queue is full"
    );
    for (answer, took) in &writes {
        assert_eq!(answer.code(), "database-unavailable", "{answer:?}");
        is_retryable(answer);
        assert!(*took < Duration::from_secs(5), "{took:?}");
    }

    records.unlock();
    let end = Instant::now() + Duration::from_secs(5);
    while user
        .create("Product.image", JPEG, "image/jpeg")
        .await
        .status
        != 201
    {
        assert!(Instant::now() < end, "writes don't come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rows = records.uploads().len();
    // A write that the writer had already taken may be committed after its caller got a 503.
    assert!((before + 1..=before + 7).contains(&rows), "{rows} rows");
}
