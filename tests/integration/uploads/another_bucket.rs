//! Separate keys for signing and sealing, and uploads of a bucket that is no longer the configured one.

use serde_json::json;

use crate::support::api::{http_client, send};
use crate::support::bucket::TestBucket;
use crate::support::rows::Rows;
use crate::support::test_env::TestEnv;

const PROOF: &[u8] = b"%PDF-1.7 a payment proof";

/// The access key that a presigned URL names.
fn signed_by(url: &str) -> &str {
    let (_, credential) = url.split_once("X-Amz-Credential=").expect("a credential");
    credential.split("%2F").next().expect("a key id")
}

async fn confirmed_proof(user: &crate::support::api::Api) -> String {
    let sha256 = crate::support::upload_steps::digest("sha256", PROOF);
    let body = json!({
        "field": "Order.txid_proof", "filename": "proof.pdf", "content_type": "application/pdf",
        "size": PROOF.len(), "checksum": {"algorithm": "sha256", "value": sha256},
    });
    let created = user.post("/v1/uploads", &body).await.expect(201);
    user.put(&created, PROOF).await.expect(200);
    user.confirm(created.id()).await.expect(200).id().to_owned()
}

#[tokio::test]
async fn separate_signer_signs_uploads_and_never_a_download() {
    let test_env = TestEnv::new().await;
    let plain = test_env.broker().await;
    let id = confirmed_proof(&plain.user()).await;
    let split = test_env
        .broker_with(json!({"storage": {
            "signer_access_key_id": "may-only-put", "signer_secret_access_key": "some-other-secret",
        }}))
        .await;
    let created = split
        .user()
        .create("Product.image", b"x", "image/png")
        .await
        .expect(201);
    let put = created.json["presigned"]["url"].as_str().expect("a URL");
    assert_eq!(signed_by(put), "may-only-put");

    let download = split
        .user()
        .get(&format!("/v1/uploads/{id}/download"))
        .await
        .expect(200);
    let url = download.json["url"].as_str().expect("a URL");
    assert_eq!(signed_by(url), test_env.bucket.server.access_key);
    let bytes = send(http_client().get(url)).await.expect(200).text;
    assert_eq!(bytes.as_bytes(), PROOF);
}

#[tokio::test]
async fn upload_of_another_bucket_is_readable_and_deletable_and_its_object_is_untouched() {
    let test_env = TestEnv::new().await;
    let first = test_env.broker().await;
    let (id, pending) = (
        confirmed_proof(&first.user()).await,
        first.user().stage("Product.image", b"x", "image/png").await,
    );
    let key = first.user().read(&id).await.json["key"]
        .as_str()
        .expect("a key")
        .to_owned();
    let elsewhere = TestBucket::at(test_env.bucket.server.clone(), "another-bucket");
    let moved = test_env
        .broker_with(json!({"storage": {"bucket": elsewhere.name}}))
        .await;
    let user = moved.user();

    assert_eq!(user.read(&id).await.expect(200).json["status"], "confirmed");
    let download = user.get(&format!("/v1/uploads/{id}/download")).await;
    download.expect_problem(503, "store-unavailable");
    user.confirm(pending.id())
        .await
        .expect_problem(503, "store-unavailable");
    assert_eq!(user.read(pending.id()).await.json["status"], "pending");

    user.delete(&format!("/v1/uploads/{id}")).await.expect(204);
    let query = format!(
        "SELECT COALESCE(CAST(object_removed_at AS text), 'still to do') AS line FROM uploads WHERE id = '{id}'"
    );
    assert_eq!(Rows::of(&test_env).lines(&query), ["still to do"]);
    assert!(
        test_env.bucket.get(&key).await.is_some(),
        "it is not gone yet"
    );

    // Repeated at a broker with the right bucket, the removal is finished.
    first
        .user()
        .delete(&format!("/v1/uploads/{id}"))
        .await
        .expect(204);
    assert!(test_env.bucket.get(&key).await.is_none());
}
