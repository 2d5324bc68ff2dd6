//! Pending uploads of a bucket or field that this broker does not know delay no other, and expire.

use bytepass::broker::SweepKind;
use serde_json::json;

use crate::support::rows::Rows;
use crate::support::sweeps::{broker_without_server, overdue, swept};
use crate::support::test_env::TestEnv;
use crate::support::upload_rows::StoredUploads;

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes that were meant";
/// More than are settled at once.
const MANY: usize = 40;
const DAY_SECS: i64 = 86_400;

/// Uploads past their deadline, first of all, that only a broker with another configuration can settle; one more that this one can.
async fn many_and_one(test_env: &TestEnv, foreign: &str) -> String {
    let broker = test_env.broker().await;
    let user = broker.user();
    for _ in 0..MANY {
        let created = user.create("Product.image", JPEG, "image/jpeg").await;
        created.expect(201);
    }
    StoredUploads::of(&test_env.database).execute(foreign);
    let staged = user.stage("ProductImage.image", JPEG, "image/jpeg").await;
    staged.id().to_owned()
}

async fn end_after_those_that_can_be_settled(
    test_env: &TestEnv,
    change: serde_json::Value,
    staged: &str,
) {
    let sweeper = broker_without_server(test_env, change).await;
    let mut records = StoredUploads::of(&test_env.database);
    overdue(test_env, 60);
    let counts = swept(&sweeper, SweepKind::Pending).await;
    let (confirmed, postponed) = (counts.confirmed, counts.postponed);
    assert_eq!((confirmed, postponed), (1, MANY as u64), "{counts:?}");
    let pending = "SELECT status AS line FROM uploads WHERE status = 'pending'";
    assert_eq!(Rows::of(test_env).lines(pending).len(), MANY);
    let settled = format!("SELECT status AS line FROM uploads WHERE id = '{staged}'");
    assert_eq!(Rows::of(test_env).lines(&settled), ["confirmed"]);

    // What was staged for them is too old now to be sealed by any broker.
    overdue(test_env, 30 * DAY_SECS);
    records.execute("UPDATE uploads SET sweep_after = NULL");
    let counts = swept(&sweeper, SweepKind::Pending).await;
    assert_eq!((counts.expired, counts.postponed), (MANY as u64, 0));
    assert_eq!(swept(&sweeper, SweepKind::Pending).await.found, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_another_bucket_delay_no_other_and_expire_unclaimed() {
    let test_env = TestEnv::new().await;
    let staged = many_and_one(&test_env, "UPDATE uploads SET bucket = 'another'").await;
    end_after_those_that_can_be_settled(&test_env, json!({}), &staged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_a_removed_field_delay_no_other_and_expire_unclaimed() {
    let test_env = TestEnv::new().await;
    let staged = many_and_one(&test_env, "UPDATE uploads SET sweep_after = NULL").await;
    let field = json!({"upload_to": "others/", "content_types": ["image/jpeg"], "max_size": 999});
    let change = json!({"fields": {"ProductImage.image": field}});
    end_after_those_that_can_be_settled(&test_env, change, &staged).await;
}
