//! A confirmed upload is attached to a record, replaced, detached and listed.

mod at_confirm;
mod invalid_input;
mod races;
mod removal;

use bytepass::domain::upload::Status;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::rows::Rows;
use crate::support::statuses::{self, BYTES, in_status};
use crate::support::test_env::{TestEnv, backend_token, sign_backend, sign_user, user_token};

/// Makes a confirmed upload of `user` for this field; returns its id.
pub async fn confirmed(user: &Api, field: &str) -> String {
    let confirmed = user.upload(field, BYTES, "image/jpeg").await;
    confirmed.id().to_owned()
}

/// The ids of a list, in its order.
pub fn ids(list: &Answer) -> Vec<&str> {
    let data = list.json["data"].as_array().expect("a list");
    data.iter().filter_map(|one| one["id"].as_str()).collect()
}

/// Fails the test unless this is a time that isn't in the future.
#[track_caller]
fn is_past(value: &Value) {
    let at = chrono::DateTime::parse_from_rfc3339(value.as_str().expect("a text"));
    assert!(at.expect("a time") <= chrono::Utc::now());
}

#[tokio::test]
async fn backend_attaches_and_detaches_a_users_upload() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (user, backend) = (broker.user(), broker.service());
    let id = confirmed(&user, "Product.image").await;
    let before = user.read(&id).await.expect(200);
    assert_eq!(before.json["attached_at"], json!(null));

    let attached = backend.attach(&id, "42").await.expect(200);
    assert_eq!(attached.json["status"], "attached");
    assert_eq!(attached.json["object_id"], "42");
    is_past(&attached.json["attached_at"]);
    for member in ["key", "name", "etag", "url", "confirmed_at", "owner"] {
        assert_eq!(attached.json[member], before.json[member], "{member}");
    }
    assert_eq!(user.read(&id).await.json, attached.json);
    // Repeated: the same answer, and no second event.
    let again = backend.attach(&id, "42").await.expect(200);
    assert_eq!(again.json, attached.json);
    assert_eq!(user.confirm(&id).await.expect(200).upload(), attached.json);
    let list = backend.get("/v1/attachments/Product/42").await.expect(200);
    assert_eq!(list.json, json!({"data": [attached.json]}));

    let other = backend.attach(&id, "43").await;
    let other = other.expect_problem(409, "already-attached");
    assert_eq!(other.json["status_now"], "attached");
    let in_use = backend.delete(&statuses::path(&id)).await;
    in_use.expect_problem(409, "wrong-status");

    let detached = backend.detach(&id).await.expect(200);
    assert_eq!(detached.json["status"], "detached");
    assert_eq!(detached.json["object_id"], "42", "what it was attached to");
    is_past(&detached.json["detached_at"]);
    assert_eq!(backend.detach(&id).await.expect(200).json, detached.json);
    let list = backend.get("/v1/attachments/Product/42").await.expect(200);
    assert_eq!(list.json, json!({"data": []}));
    let rows = Rows::of(&test_env);
    let events = [
        "1 upload.confirmed",
        "2 upload.attached",
        "3 upload.detached",
    ];
    assert_eq!(rows.events(&id), events);
    let key = before.json["key"].as_str().expect("a key");
    assert!(
        test_env.bucket.head(key).await.is_some(),
        "its grace has not ended"
    );
    assert!(
        rows.lines("SELECT upload_id AS line FROM attachment_slots")
            .is_empty()
    );
}

#[tokio::test]
async fn attach_replaces_on_a_single_field_and_adds_on_a_field_with_many() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (user, backend) = (broker.user(), broker.service());
    let rows = Rows::of(&test_env);
    let mut former: Option<String> = None;
    for _ in 0..3 {
        let id = confirmed(&user, "Product.image").await;
        let attached = backend.attach(&id, "42").await.expect(200);
        let list = backend.get("/v1/attachments/Product/42").await.expect(200);
        assert_eq!(ids(&list), [&*id]);
        if let Some(former) = &former {
            let former = user.read(former).await.expect(200);
            assert_eq!(former.json["status"], "detached");
            let at = &attached.json["attached_at"];
            assert_eq!(&former.json["detached_at"], at, "in one transaction");
            let events = [
                "1 upload.confirmed",
                "2 upload.attached",
                "3 upload.detached",
            ];
            assert_eq!(rows.events(former.id()), events);
        }
        former = Some(id);
    }
    // Another record's and another field's slots are their own.
    let mut gallery = Vec::new();
    for _ in 0..3 {
        let id = confirmed(&user, "ProductImage.image").await;
        backend.attach(&id, "42").await.expect(200);
        gallery.insert(0, id);
    }
    let elsewhere = confirmed(&user, "Product.image").await;
    backend.attach(&elsewhere, "43").await.expect(200);
    let list = backend.get("/v1/attachments/ProductImage/42").await;
    assert_eq!(ids(&list.expect(200)), gallery, "newest first");
    let list = backend.get("/v1/attachments/Product/42").await.expect(200);
    assert_eq!(ids(&list), [former.as_deref().expect("an id")]);
    // A detached upload frees the slot, and can't be attached again.
    backend.detach(&gallery[1]).await.expect(200);
    let back = backend.attach(&gallery[1], "42").await;
    let back = back.expect_problem(409, "wrong-status");
    assert_eq!(back.json["status_now"], "detached");
    let list = backend.get("/v1/attachments/ProductImage/42").await;
    assert_eq!(ids(&list.expect(200)), [&*gallery[0], &gallery[2]]);
}

#[tokio::test]
async fn attach_needs_a_confirmed_upload_and_detach_an_attached_one() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (user, backend) = (broker.user(), broker.service());
    for status in Status::ALL {
        let id = in_status(&test_env, &user, status).await;
        let before = user.read(&id).await.expect(200);
        if !matches!(status, Status::Confirmed | Status::Attached) {
            let refused = backend.attach(&id, "42").await;
            let refused = refused.expect_problem(409, "wrong-status");
            assert_eq!(refused.json["status_now"], status.as_str());
        }
        if !matches!(status, Status::Attached | Status::Detached) {
            let refused = backend.detach(&id).await;
            let refused = refused.expect_problem(409, "wrong-status");
            assert_eq!(refused.json["status_now"], status.as_str());
        }
        assert_eq!(user.read(&id).await.json, before.json, "{status}");
    }
    let list = backend.get("/v1/attachments/Product/42").await.expect(200);
    assert_eq!(ids(&list), [] as [&str; 0]);
}

#[tokio::test]
async fn list_of_a_record_shows_a_user_its_own_and_a_narrowed_token_its_fields() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let backend = broker.service();
    let mine = confirmed(&broker.user(), "ProductImage.image").await;
    let theirs = confirmed(&broker.user_named("2"), "ProductImage.image").await;
    for id in [&mine, &theirs] {
        backend.attach(id, "42").await.expect(200);
    }
    let list = async |caller: &Api| caller.get("/v1/attachments/ProductImage/42").await;
    for caller in [&backend, &broker.ops()] {
        assert_eq!(ids(&list(caller).await.expect(200)), [&*theirs, &mine]);
    }
    assert_eq!(ids(&list(&broker.user()).await.expect(200)), [&*mine]);
    assert_eq!(ids(&list(&broker.user_named("2")).await), [&*theirs]);
    assert_eq!(ids(&list(&broker.user_named("3")).await), [] as [&str; 0]);
    let narrowed = user_token("1").fields(&["Product.*"]);
    let narrowed = broker.anonymous().with_token(&sign_user(&narrowed));
    assert_eq!(ids(&list(&narrowed).await.expect(200)), [] as [&str; 0]);
    let elsewhere = backend_token("attachments:write").fields(&["Product.*"]);
    let elsewhere = broker.anonymous().with_token(&sign_backend(&elsewhere));
    assert_eq!(ids(&list(&elsewhere).await.expect(200)), [] as [&str; 0]);
    let refused = elsewhere.detach(&mine).await;
    refused.expect_problem(404, "upload-not-found");
}

#[tokio::test]
async fn list_filtered_by_record_keeps_the_filter_on_every_page() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (user, backend) = (broker.user(), broker.service());
    let odd = "a/b & ü%?";
    let mut wanted = Vec::new();
    for object_id in [odd, "42", odd, odd] {
        let body = json!({"field": "ProductImage.image", "filename": "cat.jpg", "content_type": "image/jpeg",
            "size": BYTES.len(), "object_id": object_id});
        let created = user.post("/v1/uploads", &body).await.expect(201);
        assert_eq!(created.json["object_id"], object_id);
        if object_id == odd {
            wanted.insert(0, created.id().to_owned());
        }
    }
    let query = "object_id=a%2Fb%20%26%20%C3%BC%25%3F";
    let page = user.get(&format!("/v1/uploads?{query}&limit=2")).await;
    let page = page.expect(200);
    assert_eq!(ids(&page), wanted[..2]);
    let next = page.header("link").split(['<', '>']).nth(1);
    let next = next
        .expect("a next page")
        .split_once("/v1")
        .expect("a path")
        .1;
    assert_eq!(ids(&user.get(&format!("/v1{next}")).await), wanted[2..]);
    // The same id in a path.
    let id = confirmed(&user, "Product.image").await;
    backend.attach(&id, odd).await.expect(200);
    let path = "/v1/attachments/Product/a%2Fb%20%26%20%C3%BC%25%3F";
    assert_eq!(ids(&user.get(path).await.expect(200)), [&*id]);
}
