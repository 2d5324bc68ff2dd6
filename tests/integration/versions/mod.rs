//! Two versions side by side over one schema: what the version before writes, this one goes on with, and the other way round. The
//! statements below are those of the version before the operations schema; `limits` holds that its changes are counted.

mod callers;
mod older;

use bytepass::domain::upload::Status;
use serde_json::Value;

use crate::support::rows::Rows;
use crate::support::statuses::{BYTES, in_every_status};
use crate::support::sweeps::{moment, overdue};
use crate::support::test_env::TestEnv;
use crate::support::upload_rows::is_confirmed_once;

/// The columns that the version before reads.
const COLUMNS: [&str; 27] = [
    "id",
    "status",
    "version",
    "field",
    "owner",
    "bucket",
    "object_key",
    "name",
    "filename",
    "content_type",
    "size",
    "checksum_algorithm",
    "checksum_value",
    "created_at",
    "expires_at",
    "url_lifetime_secs",
    "confirmed_at",
    "confirmed_by",
    "etag",
    "differences",
    "object_removed_at",
    "object_id",
    "attach_at_confirm",
    "grant_id",
    "attached_at",
    "detached_at",
    "remove_after",
];

/// Confirms an upload whose object lies under this key as the version before does.
async fn confirm_as_before(test_env: &TestEnv, id: &str, key: &str) {
    let head = test_env.bucket.head(key).await.expect("the copy");
    let etag = head.e_tag().expect("an ETag").trim_matches('"').to_owned();
    let (name, now) = (key.trim_start_matches("media/"), moment(test_env, 0));
    for sql in [
        format!(
            "INSERT INTO seal_attempts (object_key, name, upload_id, state, started_at) \
             VALUES ('{key}', '{name}', '{id}', 'recorded', '{now}')"
        ),
        format!(
            "UPDATE uploads SET status = 'confirmed', version = version + 1, object_key = '{key}', name = '{name}', \
             etag = '{etag}', confirmed_at = '{now}', confirmed_by = 'client' WHERE id = '{id}' AND status = 'pending'"
        ),
        format!(
            "INSERT INTO events (id, upload_id, seq, type, occurred_at) \
             VALUES ('evt_{}', '{id}', 1, 'upload.confirmed', '{now}')",
            id.trim_start_matches("upl_")
        ),
    ] {
        test_env.database.execute(&sql);
    }
}

#[tokio::test]
async fn r9_what_the_version_before_confirmed_goes_on_in_this_one() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (user, service, ops) = (broker.user(), broker.service(), broker.ops());
    let staged = user.stage("Product.image", BYTES, "image/jpeg").await;
    let key = "media/products/0123456789abcdefghjkmnpqrstvwxyz.jpg";
    test_env.bucket.put(key, BYTES, "image/jpeg").await;
    confirm_as_before(&test_env, staged.id(), key).await;

    let confirmed = user.confirm(staged.id()).await.expect(200);
    assert_eq!(confirmed.json["key"], key);
    is_confirmed_once(&test_env, &confirmed, BYTES).await;
    let timeline = ops
        .get(&format!("/v1/uploads/{}/timeline", staged.id()))
        .await;
    let kinds: Vec<Value> = timeline.expect(200).json["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["kind"].clone())
        .collect();
    assert_eq!(kinds, ["created", "presigned", "seal", "confirmed"]);
    service.attach(staged.id(), "42").await.expect(200);
    service.detach(staged.id()).await.expect(200);
    let events = Rows::of(&test_env).events(staged.id());
    assert_eq!(
        events,
        [
            "1 upload.confirmed",
            "2 upload.attached",
            "3 upload.detached"
        ]
    );
}

#[tokio::test]
async fn r9_the_version_before_reads_every_row_of_this_one() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let all = in_every_status(&test_env, &broker.user()).await;
    // With what only this version writes: a try that was put off.
    overdue(&test_env, 60);
    test_env.database.execute(&format!(
        "UPDATE uploads SET sweep_after = '{}', last_problem = 'the bucket was gone' WHERE status = 'pending'",
        moment(&test_env, -60)
    ));
    let (rows, columns) = (Rows::of(&test_env), COLUMNS.join(", "));
    for (status, id) in all {
        let found = rows.lines(&format!(
            "SELECT status AS line FROM (SELECT {columns} FROM uploads WHERE id = '{id}') AS before"
        ));
        assert_eq!(found, [status.as_str()]);
        // Its compare-and-set, by which a broker that is still running gives a pending upload up.
        rows_moved(&test_env, &id, status == Status::Pending);
    }
}

fn rows_moved(test_env: &TestEnv, id: &str, moves: bool) {
    test_env.database.execute(&format!(
        "UPDATE uploads SET status = 'expired', version = version + 1 WHERE id = '{id}' AND status = 'pending'"
    ));
    let status = Rows::of(test_env).lines(&format!(
        "SELECT status AS line FROM uploads WHERE id = '{id}'"
    ));
    assert!(!moves || status == ["expired"], "{status:?}");
}
