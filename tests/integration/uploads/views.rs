//! The JSON of an upload: all members of the contract in every status, and the URLs of its object.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytepass::domain::upload::Status;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::api::{Answer, Api, http_client, send};
use crate::support::bucket::S3Server;
use crate::support::statuses::{self, BYTES};
use crate::support::test_env::TestEnv;

const MEMBERS: [&str; 20] = [
    "id",
    "status",
    "field",
    "owner",
    "object_id",
    "bucket",
    "key",
    "name",
    "filename",
    "content_type",
    "size",
    "checksum",
    "created_at",
    "expires_at",
    "confirmed_at",
    "confirmed_by",
    "attached_at",
    "detached_at",
    "etag",
    "url",
];

fn names(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

fn with(more: &[&'static str]) -> BTreeSet<&'static str> {
    MEMBERS
        .iter()
        .copied()
        .chain(more.iter().copied())
        .collect()
}

fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        text.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(text).is_ok()
    })
}

#[tokio::test]
async fn upload_in_every_status_shows_every_member_and_null_for_absent_values() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    for (status, id) in statuses::in_every_status(&test_env, &user).await {
        let read = user.read(&id).await.expect(200).json;
        let more: &[&str] = if status == Status::Rejected {
            &["errors"]
        } else {
            &[]
        };
        assert_eq!(names(&read), with(more), "{status}");
        let sealed = [
            Status::Confirmed,
            Status::Attached,
            Status::Detached,
            Status::Deleted,
        ]
        .contains(&status);
        for member in ["key", "name", "etag", "confirmed_at", "confirmed_by"] {
            assert_eq!(!read[member].is_null(), sealed, "{member} when {status}");
        }
        assert_eq!(
            read["url"].is_null(),
            !sealed || status == Status::Deleted,
            "{status}: {read}"
        );
        assert!(
            is_time(&read["created_at"]) && is_time(&read["expires_at"]),
            "{read}"
        );
        assert_eq!(read["bucket"], test_env.bucket.name);
        assert_eq!(read["checksum"], Value::Null);
        let page = user
            .get(&format!("/v1/uploads?status={status}"))
            .await
            .expect(200);
        assert_eq!(page.json["data"], json!([read]), "a list shows the same");
        assert_eq!(names(&page.json), ["data", "next_cursor"].into());
    }
}

#[tokio::test]
async fn presign_response_names_the_request_to_send_and_the_confirm_url() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let sum = STANDARD.encode(Sha256::digest(BYTES));
    let body = json!({
        "field": "Deposit.deposit_proof", "filename": "proof.jpg", "content_type": "image/jpeg", "size": BYTES.len(),
        "checksum": {"algorithm": "sha256", "value": sum},
    });
    let created = user.post("/v1/uploads", &body).await.expect(201);
    let again = user
        .post_empty(&format!("/v1/uploads/{}/presign", created.id()))
        .await
        .expect(200);
    for answer in [&created, &again] {
        assert_eq!(names(&answer.json), with(&["presigned", "confirm_url"]));
        let presigned = &answer.json["presigned"];
        assert_eq!(
            names(presigned),
            ["method", "url", "headers", "expires_at"].into()
        );
        assert_eq!(presigned["method"], "PUT");
        assert_eq!(
            presigned["headers"],
            json!({"content-type": "image/jpeg", "x-amz-checksum-sha256": sum})
        );
        assert!(is_time(&presigned["expires_at"]), "{presigned}");
        assert_eq!(answer.json["checksum"], body["checksum"]);
    }
    user.put(&again, BYTES).await.expect(200);
    let confirmed = send(
        user.request(
            Method::POST,
            created.json["confirm_url"]
                .as_str()
                .expect("a URL")
                .strip_prefix(&broker.url)
                .expect("ours"),
        ),
    )
    .await
    .expect(200);
    assert_eq!(names(&confirmed.json), with(&["receipt"]));
    let head = test_env
        .bucket
        .head(confirmed.json["key"].as_str().expect("a key"))
        .await
        .expect("an object");
    assert_eq!(
        head.e_tag().map(|etag| etag.trim_matches('"')),
        confirmed.json["etag"].as_str()
    );
}

async fn fetch(url: &str) -> (u16, Vec<u8>) {
    let answer = http_client().get(url).send().await.expect("an answer");
    (
        answer.status().as_u16(),
        answer.bytes().await.expect("a body").to_vec(),
    )
}

async fn private(user: &Api, field: &str) -> Answer {
    let body = json!({
        "field": field, "filename": "proof.pdf", "content_type": "application/pdf", "size": BYTES.len(),
        "checksum": {"algorithm": "sha256", "value": STANDARD.encode(Sha256::digest(BYTES))},
    });
    let created = user.post("/v1/uploads", &body).await.expect(201);
    user.put(&created, BYTES).await.expect(200);
    user.confirm(created.id()).await.expect(200)
}

#[tokio::test]
async fn private_object_is_readable_only_by_a_presigned_get() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    for field in ["Deposit.deposit_proof", "Order.txid_proof"] {
        let confirmed = private(&user, field).await;
        assert_eq!(confirmed.json["url"], Value::Null);
        let path = format!("/v1/uploads/{}/download", confirmed.id());
        let download = user.get(&path).await.expect(200);
        assert_eq!(names(&download.json), ["url", "expires_at"].into());
        let url = download.json["url"].as_str().expect("a URL");
        let ends = chrono::DateTime::parse_from_rfc3339(
            download.json["expires_at"].as_str().expect("a time"),
        )
        .expect("a time");
        let lifetime = ends.to_utc() - chrono::Utc::now();
        assert!((200..=300).contains(&lifetime.num_seconds()), "{lifetime}");
        assert_eq!(fetch(url).await, (200, BYTES.to_vec()));
        let (unsigned, _) = url.split_once('?').expect("a query");
        assert!([401, 403].contains(&fetch(unsigned).await.0), "{unsigned}");
        let other_key = url.replacen(
            confirmed.json["key"].as_str().expect("a key"),
            "media/products/x.jpg",
            1,
        );
        assert_eq!(fetch(&other_key).await.0, 403);
        let put = http_client()
            .put(url)
            .body("x")
            .send()
            .await
            .expect("an answer");
        assert_eq!(put.status(), 403, "a GET's signature does not write");
        user.delete(&statuses::path(confirmed.id()))
            .await
            .expect(204);
        user.get(&path).await.expect_problem(409, "wrong-status");
    }
}

#[tokio::test]
async fn public_object_is_readable_without_a_signature() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let confirmed = user.upload("Product.image", BYTES, "image/jpeg").await;
    let download = user
        .get(&format!("/v1/uploads/{}/download", confirmed.id()))
        .await
        .expect(200);
    assert_eq!(
        download.json,
        json!({"url": confirmed.json["url"], "expires_at": null})
    );
    let url = confirmed.json["url"].as_str().expect("a URL");
    let key = confirmed.json["key"].as_str().expect("a key");
    assert_eq!(
        url,
        format!(
            "{}/{}/{key}",
            test_env.bucket.server.endpoint, test_env.bucket.name
        )
    );
    if S3Server::external().is_some() {
        // The buckets of an external store are private: nothing can be read without a signature.
        return;
    }
    assert_eq!(fetch(url).await, (200, BYTES.to_vec()));
    let answer = http_client().get(url).send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "image/jpeg");
    let staging = url.replacen(key, &format!("staging/{}", confirmed.id()), 1);
    assert_eq!(
        fetch(&staging).await.0,
        403,
        "what is not confirmed is nobody's to read"
    );
}

#[tokio::test]
async fn unconfirmed_upload_cannot_be_downloaded() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    for (status, id) in statuses::in_every_status(&test_env, &user).await {
        let answer = user.get(&format!("/v1/uploads/{id}/download")).await;
        if [Status::Confirmed, Status::Attached, Status::Detached].contains(&status) {
            answer.expect(200);
        } else {
            let refused = answer.expect_problem(409, "wrong-status");
            assert_eq!(refused.json["status_now"], status.as_str());
        }
    }
}
