//! The test of the Django sample in `deploy/django`, on a broker and a real bucket.

use std::process::Command;

use aws_sdk_s3::Client;
use serde_json::json;

use crate::support::broker_process::free_address;
use crate::support::command::run_within;
use crate::support::database::AnyDatabase;
use crate::support::needs;
use crate::support::receipts;
use crate::support::test_env::TestEnv;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/django");
const TOKEN_SECRET: &str = "the-shops-secret-of-the-tests-32-bytes-long";
const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const LIMIT_SECS: u64 = 240;

#[tokio::test]
async fn upload_through_bytepass_works_as_a_django_image() {
    let (Some(python), Some(_)) = (
        needs("BYTEPASS_TEST_PYTHON"),
        needs("BYTEPASS_TEST_S3_ENDPOINT"),
    ) else {
        return;
    };
    let test_env = TestEnv::new().await;
    let shop = free_address();
    let broker = test_env
        .broker_with(json!({
            "auth": {"issuers": [{"name": "shop", "issuer": "shop", "audience": "bytepass", "owner_prefix": "user:",
                "scopes": ["uploads:write", "attachments:write"], "secret": TOKEN_SECRET}]},
            "webhooks": {"endpoints": [{"name": "shop", "url": format!("http://{shop}/uploads/webhook"),
                "secrets": [WEBHOOK_SECRET], "allow_private": true}]},
        }))
        .await;
    anyone_may_read_public_fields(&test_env.bucket.client, &test_env.bucket.name).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (own, bytepass) = databases(&test_env.database, &folder.path().join("shop.db"));
    let mut test = Command::new(python);
    test.args(["-B", "-W", "error::ResourceWarning", "test_shop.py"])
        .current_dir(SAMPLE)
        .env("SHOP_PORT", shop.port().to_string())
        .env("DATABASE_URL", own)
        .env("BYTEPASS_DATABASE_URL", bytepass)
        .env("DJANGO_SECRET_KEY", "django's secret of the tests")
        .env("DJANGO_ALLOWED_HOSTS", "127.0.0.1")
        .env("DJANGO_LOG_LEVEL", "CRITICAL")
        .env("MEDIA_BUCKET", &test_env.bucket.name)
        .env("MEDIA_ENDPOINT", &test_env.bucket.server.endpoint)
        .env("AWS_ACCESS_KEY_ID", &test_env.bucket.server.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &test_env.bucket.server.secret_key)
        .env("BYTEPASS_URL", &broker.url)
        .env("BYTEPASS_RECEIPT_ISSUER", receipts::ISSUER)
        .env("BYTEPASS_TOKEN_SECRET", TOKEN_SECRET)
        .env("BYTEPASS_WEBHOOK_SECRET", WEBHOOK_SECRET);
    let outcome = tokio::task::spawn_blocking(move || run_within(&mut test, LIMIT_SECS))
        .await
        .expect("the test is waited for");
    let said = outcome.stderr;
    assert!(outcome.code == 0 && said.contains("\nOK"), "{said}");
    assert!(!said.contains("Ran 0 tests"), "{said}");
}

#[test]
fn sample_has_the_same_receipt_verifier_as_the_client() {
    let read = |path: &str| std::fs::read_to_string(format!("{SAMPLE}/{path}")).expect("a file");
    let copy = read("uploads/verify_receipt.py");
    assert_eq!(copy, read("../../clients/python/verify_receipt.py"));
}

/// Sets the bucket policy of `deploy/bucket`.
async fn anyone_may_read_public_fields(client: &Client, bucket: &str) {
    let path = format!("{SAMPLE}/../bucket/policy-public-fields.json");
    let policy = std::fs::read_to_string(path).expect("the policy");
    let put = client.put_bucket_policy().bucket(bucket);
    put.policy(policy.replace("shop-media", bucket))
        .send()
        .await
        .expect("the bucket takes it");
}

/// The shop's own database and the broker's, as Django names them. On Postgres they are one.
fn databases(broker: &AnyDatabase, own_file: &std::path::Path) -> (String, String) {
    let url = broker.url();
    match url.strip_prefix("sqlite://") {
        Some(path) => (
            format!(
                "sqlite:///{}?transaction_mode=IMMEDIATE",
                own_file.display()
            ),
            format!("sqlite:///{path}"),
        ),
        None => (url.clone(), url),
    }
}
