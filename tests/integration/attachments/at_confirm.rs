//! Attachment at confirm: the backend named the record when it created the upload.

use serde_json::json;

use crate::attachments::{confirmed, ids};
use crate::support::api::{Answer, Api};
use crate::support::rows::Rows;
use crate::support::statuses::{self, BYTES};
use crate::support::test_env::TestEnv;

const BOTH: [&str; 2] = ["1 upload.confirmed", "2 upload.attached"];

/// Creates an upload of user 1 for this record, and puts its object.
async fn stage(caller: &Api, owner: Option<&str>, object_id: &str) -> Answer {
    let mut body = json!({"field": "Product.image", "filename": "cat.jpg", "content_type": "image/jpeg",
        "size": BYTES.len(), "object_id": object_id});
    if let Some(owner) = owner {
        body["owner"] = json!(owner);
    }
    let created = caller.post("/v1/uploads", &body).await.expect(201);
    caller.put(&created, BYTES).await.expect(200);
    created
}

#[tokio::test]
async fn record_named_by_a_backend_is_attached_at_confirm_and_replaces_the_former_upload() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (user, backend) = (broker.user(), broker.service());
    let rows = Rows::of(&test_env);
    let former = confirmed(&user, "Product.image").await;
    backend.attach(&former, "42").await.expect(200);

    let created = stage(&backend, Some("user:1"), "42").await;
    let id = created.id();
    let pending = backend.get("/v1/attachments/Product/42").await;
    assert_eq!(ids(&pending), [&*former], "until the confirm");
    let attached = user.confirm(id).await.expect(200);
    assert_eq!(attached.json["status"], "attached");
    assert_eq!(attached.json["confirmed_by"], "client");
    let times = ["confirmed_at", "attached_at"].map(|member| &attached.json[member]);
    assert_eq!(times[0], times[1], "in one transaction");
    assert_eq!(rows.events(id), BOTH);
    assert_eq!(
        user.confirm(id).await.expect(200).upload(),
        attached.upload()
    );
    assert_eq!(
        backend.attach(id, "42").await.expect(200).json,
        attached.upload()
    );
    let list = backend.get("/v1/attachments/Product/42").await.expect(200);
    assert_eq!(ids(&list), [id]);
    let former = user.read(&former).await.expect(200);
    assert_eq!(former.json["status"], "detached");
    assert_eq!(&former.json["detached_at"], times[0]);
    let slots = rows.lines("SELECT upload_id AS line FROM attachment_slots");
    assert_eq!(slots, [id]);
}

#[tokio::test]
async fn record_named_by_a_user_attaches_nothing() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let created = stage(&user, None, "42").await;
    let confirmed = user.confirm(created.id()).await.expect(200);
    assert_eq!(confirmed.json["status"], "confirmed");
    assert_eq!(confirmed.json["object_id"], "42");
    let list = user.get("/v1/attachments/Product/42").await.expect(200);
    assert_eq!(ids(&list), [] as [&str; 0]);
    // The backend may follow it, or not.
    let attached = broker.service().attach(created.id(), "43").await;
    assert_eq!(attached.expect(200).json["object_id"], "43");
    let list = user.get("/v1/attachments/Product/43").await.expect(200);
    assert_eq!(ids(&list), [created.id()]);
}

#[tokio::test]
async fn concurrent_confirms_attaching_to_one_record_leave_exactly_one() {
    let test_env = TestEnv::new().await;
    let brokers = [test_env.broker().await, test_env.broker().await];
    let rows = Rows::of(&test_env);
    for round in 0..3 {
        let record = format!("{round}");
        let mut staged = Vec::new();
        for _ in 0..6 {
            staged.push(stage(&brokers[0].service(), Some("user:1"), &record).await);
        }
        // Each of them by both brokers, so that each confirm races too.
        let confirms = (0..12).map(|n| {
            let (api, id) = (brokers[n % 2].user(), staged[n / 2].id().to_owned());
            async move { api.confirm(&id).await }
        });
        let answers = futures::future::join_all(confirms).await;
        let mut late = 0;
        for answer in answers {
            // The other broker's confirm may find it replaced already.
            if answer.status == 200 {
                continue;
            }
            let answer = answer.expect_problem(409, "wrong-status");
            assert_eq!(answer.json["status_now"], "detached");
            late += 1;
        }
        assert!(late < 6, "each has a confirm that won");
        let path = format!("/v1/attachments/Product/{record}");
        let list = brokers[0].ops().get(&path).await.expect(200);
        let left = ids(&list);
        assert_eq!(left.len(), 1, "{left:?}");
        for created in &staged {
            let events = rows.events(created.id());
            let attached = created.id() == left[0];
            let expected = if attached { 2 } else { 3 };
            assert_eq!(events.len(), expected, "{events:?}");
            assert_eq!(events[..2], BOTH);
            assert!(attached || events[2] == "3 upload.detached");
        }
        let slot =
            format!("SELECT upload_id AS line FROM attachment_slots WHERE object_id = '{record}'");
        assert_eq!(rows.lines(&slot), left);
    }
}

#[tokio::test]
async fn rejected_upload_attaches_nothing_and_replaces_nothing() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (user, backend) = (broker.user(), broker.service());
    let former = confirmed(&user, "Product.image").await;
    backend.attach(&former, "42").await.expect(200);
    let created = stage(&backend, Some("user:1"), "42").await;
    let id = created.id();
    let staged = format!("staging/{id}");
    test_env
        .bucket
        .put(&staged, b"other bytes", "image/jpeg")
        .await;
    let refused = user.confirm(id).await;
    refused.expect_problem(422, "object-mismatch");
    let list = backend.get("/v1/attachments/Product/42").await.expect(200);
    assert_eq!(ids(&list), [&*former]);
    let events = Rows::of(&test_env).events(id);
    assert_eq!(events, ["1 upload.rejected"]);
    let gone = backend.delete(&statuses::path(id)).await;
    gone.expect(204);
}
