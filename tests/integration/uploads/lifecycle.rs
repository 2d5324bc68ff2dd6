//! What a caller may do with an upload in each status: presign again, cancel, delete, confirm late.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, send};
use crate::support::rows::Rows;
use crate::support::test_env::TestEnv;
use crate::support::upload_steps::{plant, staging_key, text};

const RIGHT: &[u8] = b"\x89PNG the bytes that were meant";

fn time(value: &Value) -> DateTime<Utc> {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    let time = DateTime::parse_from_rfc3339(text);
    time.unwrap_or_else(|error| panic!("{text}: {error}"))
        .to_utc()
}

async fn represign(api: &Api, id: &str) -> Answer {
    api.post_empty(&format!("/v1/uploads/{id}/presign")).await
}

async fn delete(api: &Api, id: &str) -> Answer {
    api.delete(&format!("/v1/uploads/{id}")).await
}

/// An upload in this status.
async fn upload_in(test_env: &TestEnv, user: &Api, status: &str) -> String {
    let created = user.create("Product.image", RIGHT, "image/png").await;
    let id = created.clone().expect(201).id().to_owned();
    match status {
        "canceled" => drop(delete(user, &id).await.expect(204)),
        "rejected" => {
            plant(&test_env.bucket, &id, b"of another size", None).await;
            user.confirm(&id).await.expect(422);
        }
        "expired" => expire(test_env, &id),
        "confirmed" | "deleted" => {
            user.put(&created, RIGHT).await.expect(200);
            user.confirm(&id).await.expect(200);
            if status == "deleted" {
                delete(user, &id).await.expect(204);
            }
        }
        _ => {}
    }
    assert_eq!(user.read(&id).await.json["status"], status);
    id
}

/// Ends it as the sweeper does.
fn expire(test_env: &TestEnv, id: &str) {
    Rows::of(test_env).change_one(&format!(
        "UPDATE uploads SET status = 'expired', version = version + 1 WHERE id = '{id}'"
    ));
}

#[tokio::test]
async fn pending_upload_is_presigned_again_for_the_same_key() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let created = user.create("Product.image", RIGHT, "image/png").await;
    let created = created.expect(201);
    let slack = time(&created.json["expires_at"]) - time(&created.json["presigned"]["expires_at"]);
    assert!(
        slack >= TimeDelta::minutes(15),
        "a slow PUT may end after its URL"
    );
    // A signature's time has whole seconds: the next one differs.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let again = represign(&user, created.id()).await.expect(200);
    assert_ne!(
        again.json["presigned"]["url"],
        created.json["presigned"]["url"]
    );
    let path = |answer: &Answer| {
        let url = answer.json["presigned"]["url"].as_str().expect("a URL");
        url.split('?').next().expect("a path").to_owned()
    };
    assert_eq!(path(&again), path(&created));
    assert!(path(&again).ends_with(&staging_key(created.id())));
    let later = time(&again.json["presigned"]["expires_at"]);
    assert!(later > time(&created.json["presigned"]["expires_at"]));
    assert_eq!(again.json["expires_at"], created.json["expires_at"]);
    user.put(&again, RIGHT).await.expect(200);
    user.confirm(created.id()).await.expect(200);
}

#[tokio::test]
async fn presigned_request_never_outlives_its_upload() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let created = user.create("Product.image", RIGHT, "image/png").await;
    let id = created.clone().expect(201).id().to_owned();
    let rows = Rows::of(&test_env);
    rows.set_deadline(&id, 60);
    let near = represign(&user, &id).await.expect(200);
    let (url_ends, ends) = (
        &near.json["presigned"]["expires_at"],
        &near.json["expires_at"],
    );
    assert!(time(url_ends) <= time(ends), "{url_ends} is after {ends}");
    let signed = url::Url::parse(near.json["presigned"]["url"].as_str().expect("a URL"));
    let signed = signed.expect("a URL");
    let lifetime = signed.query_pairs().find(|it| it.0 == "X-Amz-Expires");
    let lifetime: i64 = lifetime.expect("it is signed").1.parse().expect("seconds");
    assert!((1..=60).contains(&lifetime), "{lifetime} s");
    rows.set_deadline(&id, -1);
    let over = represign(&user, &id).await;
    let over = over.expect_problem(410, "upload-expired");
    assert!(!over.text.contains("X-Amz"), "{}", over.text);
}

#[tokio::test]
async fn presign_of_an_upload_that_is_not_pending_is_refused() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    for status in ["confirmed", "deleted", "rejected", "canceled"] {
        let id = upload_in(&test_env, &user, status).await;
        let refused = represign(&user, &id).await;
        let refused = refused.expect_problem(409, "wrong-status");
        assert_eq!(refused.json["status_now"], status);
    }
    let id = upload_in(&test_env, &user, "expired").await;
    let refused = represign(&user, &id).await;
    refused.expect_problem(410, "upload-expired");
    let pending = upload_in(&test_env, &user, "pending").await;
    let stranger = represign(&broker.user_named("2"), &pending).await;
    stranger.expect_problem(404, "upload-not-found");
    represign(&broker.service(), &pending).await.expect(200);
}

#[tokio::test]
async fn confirm_answers_each_status_differently() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    for status in ["canceled", "deleted"] {
        let id = upload_in(&test_env, &user, status).await;
        plant(&test_env.bucket, &id, RIGHT, None).await;
        let refused = user.confirm(&id).await;
        let refused = refused.expect_problem(409, "wrong-status");
        assert_eq!(refused.json["status_now"], status);
    }
    let id = upload_in(&test_env, &user, "expired").await;
    plant(&test_env.bucket, &id, RIGHT, None).await;
    let refused = user.confirm(&id).await;
    refused.expect_problem(410, "upload-expired");
    assert!(test_env.bucket.list("media/").await.is_empty());
}

#[tokio::test]
async fn confirm_past_the_deadline_still_seals_a_pending_upload() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let created = user.create("Product.image", RIGHT, "image/png").await;
    let id = created.clone().expect(201).id().to_owned();
    let rows = Rows::of(&test_env);
    rows.set_deadline(&id, -3_600);
    for _ in 0..5 {
        let missing = user.confirm(&id).await;
        missing.expect_problem(409, "object-missing");
        assert_eq!(rows.attempts(&id), [], "polling leaves no rows behind");
    }
    assert_eq!(user.read(&id).await.json["status"], "pending");
    user.put(&created, RIGHT).await.expect(200);
    user.confirm(&id).await.expect(200);
}

#[tokio::test]
async fn delete_cancels_a_pending_upload_and_removes_a_confirmed_one() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let rows = Rows::of(&test_env);
    let id = upload_in(&test_env, &user, "pending").await;
    let answer = delete(&user, &id).await.expect(204);
    assert_eq!(answer.text, "");
    assert_eq!(user.read(&id).await.json["status"], "canceled");
    assert_eq!(rows.events(&id), ["1 upload.canceled"]);

    let id = upload_in(&test_env, &user, "confirmed").await;
    let confirmed = user.read(&id).await.expect(200);
    let key = text(&confirmed, "key");
    assert!(test_env.bucket.head(&key).await.is_some());
    delete(&user, &id).await.expect(204);
    assert!(
        test_env.bucket.head(&key).await.is_none(),
        "the object is gone"
    );
    let read = user.read(&id).await.expect(200);
    assert_eq!(read.json["status"], "deleted");
    assert_eq!(read.json["key"], confirmed.json["key"], "its row stays");
    assert_eq!(read.json["url"], json!(null), "a URL of nothing is no URL");
    assert_eq!(rows.events(&id), ["1 upload.confirmed", "2 upload.deleted"]);
    let removed = rows.lines(&format!(
        "SELECT id AS line FROM uploads WHERE id = '{id}' AND object_removed_at IS NOT NULL"
    ));
    assert_eq!(removed, [id.as_str()], "the removal is recorded");
    let staged = test_env.bucket.head(&staging_key(&id)).await;
    assert!(staged.is_none(), "so is what was staged");
}

#[tokio::test]
async fn delete_of_an_ended_upload_changes_nothing_and_succeeds() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    for status in ["canceled", "deleted", "rejected", "expired"] {
        let id = upload_in(&test_env, &user, status).await;
        let events = Rows::of(&test_env).events(&id);
        for _ in 0..2 {
            delete(&user, &id).await.expect(204);
        }
        assert_eq!(user.read(&id).await.json["status"], status);
        assert_eq!(Rows::of(&test_env).events(&id), events);
    }
}

#[tokio::test]
async fn presigned_url_is_issued_only_after_its_row_is_committed() {
    let test_env = TestEnv::new().await;
    let change = json!({"database": {"write_wait_ms": 600, "read_wait_ms": 600}});
    let broker = test_env.broker_with(change).await;
    let user = broker.user();
    let rows = Rows::of(&test_env);
    let locked = rows.lock();
    for _ in 0..3 {
        let answer = user.create("Product.image", RIGHT, "image/png").await;
        let answer = answer.expect_problem(503, "database-unavailable");
        assert_ne!(answer.header("retry-after"), "");
        assert_eq!(answer.header("location"), "");
        for part in ["presigned", "X-Amz", "staging/"] {
            assert!(!answer.text.contains(part), "{part}: {}", answer.text);
        }
    }
    drop(locked);
    crate::support::upload_steps::eventually("the database is back", || async {
        user.create("Product.image", RIGHT, "image/png")
            .await
            .status
            == 201
    })
    .await;
    let created = user.create("Product.image", RIGHT, "image/png").await;
    let id = created.expect(201).id().to_owned();
    let found = rows.lines(&format!(
        "SELECT status AS line FROM uploads WHERE id = '{id}'"
    ));
    assert_eq!(found, ["pending"], "whoever has the URL has the row");
}

#[tokio::test]
async fn upload_of_a_removed_field_keeps_its_status() {
    let test_env = TestEnv::new().await;
    let before = test_env.broker().await;
    let created = before
        .user()
        .stage("Product.image", RIGHT, "image/png")
        .await;
    let field = json!({"upload_to": "others/", "content_types": ["image/png"], "max_size": 9});
    let change = json!({"fields": {"Other.image": field}});
    let after = test_env.broker_with(change).await;
    let refused = after.user().confirm(created.id()).await;
    refused.expect_problem(422, "unknown-field");
    let request = after.user().request(reqwest::Method::GET, "/v1/uploads");
    let list = send(request).await.expect(200);
    assert_eq!(list.json["data"][0]["status"], "pending");
    before.user().confirm(created.id()).await.expect(200);
}
