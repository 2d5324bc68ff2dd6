//! Stores that check no checksum: a field that requires one is refused at start, or the broker reads and hashes the object.

use bytepass::config::{Config, Sources};
use serde_json::{Value, json};

use crate::support::rows::Rows;
use crate::support::test_env::TestEnv;
use crate::support::upload_steps::{create_with, plant};

const RIGHT: &[u8] = b"\x89PNG the bytes that were meant";
const OTHER: &[u8] = b"\x89PNG the bytes of somebody!!!!";
const READ_ALGORITHMS: [&str; 4] = ["sha256", "crc32", "crc32c", "crc64nvme"];

fn load(test_env: &TestEnv, change: Value) -> Result<Config, String> {
    let settings = toml::to_string(&test_env.settings(change)).expect("TOML");
    let sources = Sources::default().with_defaults("test", settings);
    Config::load(&sources).map_err(|errors| errors.to_string())
}

#[tokio::test]
async fn required_checksum_without_any_check_is_a_configuration_error() {
    let test_env = TestEnv::new().await;
    let refused = load(&test_env, json!({"storage": {"checksum_proof": "none"}}));
    let Err(error) = refused else {
        panic!("the shop's fields require a sha256");
    };
    for part in [
        "Deposit.deposit_proof",
        "Order.txid_proof",
        "required_checksums",
        "checksum_proof",
        "read_to_prove",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains("Product.image"), "{error}");
    let reading = json!({"storage": {"checksum_proof": "none", "read_to_prove": true}});
    assert!(load(&test_env, reading).is_ok());
    let trusting = json!({"storage": {"checksum_proof": "trusted"}});
    assert!(load(&test_env, trusting).is_ok());
    let misspelt = json!({"storage": {"checksum_proof": "maybe"}});
    assert!(load(&test_env, misspelt).is_err());
}

#[tokio::test]
async fn broker_that_reads_to_prove_confirms_right_bytes_and_rejects_others() {
    let test_env = TestEnv::new().await;
    let change = json!({"storage": {"checksum_proof": "none", "read_to_prove": true}});
    let broker = test_env.broker_with(change).await;
    let user = broker.user();
    for algorithm in READ_ALGORITHMS {
        let create = || create_with(&user, "Product.image", RIGHT, "image/png", algorithm);
        let right = create().await.expect(201);
        user.put(&right, RIGHT).await.expect(200);
        let confirmed = user.confirm(right.id()).await.expect(200);
        assert_eq!(confirmed.json["status"], "confirmed", "{algorithm}");

        // The bytes count, whether the store shows a checksum, shows none, or shows that of other bytes.
        let bare = create().await.expect(201);
        plant(&test_env.bucket, bare.id(), RIGHT, None).await;
        user.confirm(bare.id()).await.expect(200);
        for shown in [None, Some(algorithm), Some("crc32")] {
            let wrong = create().await.expect(201);
            plant(&test_env.bucket, wrong.id(), OTHER, shown).await;
            let refused = user.confirm(wrong.id()).await;
            let refused = refused.expect_problem(422, "object-mismatch");
            assert_eq!(refused.json["errors"][0]["pointer"], "/checksum");
            let events = Rows::of(&test_env).events(wrong.id());
            assert_eq!(events, ["1 upload.rejected"]);
        }
    }
    assert_eq!(
        test_env.bucket.list("media/").await.len(),
        8,
        "the right ones"
    );
}

#[tokio::test]
async fn required_checksum_is_proved_by_reading() {
    let test_env = TestEnv::new().await;
    let change = json!({"storage": {"checksum_proof": "none", "read_to_prove": true}});
    let broker = test_env.broker_with(change).await;
    let user = broker.user();
    let field = "Deposit.deposit_proof";
    let none = user.create(field, RIGHT, "image/png").await;
    none.expect_problem(422, "checksum-required");
    let md5 = create_with(&user, field, RIGHT, "image/png", "md5").await;
    md5.expect_problem(422, "checksum-required");
    let wrong = create_with(&user, field, RIGHT, "image/png", "sha256").await;
    plant(
        &test_env.bucket,
        wrong.clone().expect(201).id(),
        OTHER,
        None,
    )
    .await;
    let refused = user.confirm(wrong.id()).await;
    refused.expect_problem(422, "object-mismatch");
}

#[tokio::test]
async fn unprovable_checksum_is_refused_at_create() {
    let test_env = TestEnv::new().await;
    let field = json!({"upload_to": "files/", "content_types": ["image/png"], "max_size": 4096});
    let change = json!({"storage": {"checksum_proof": "none"}, "fields": {"Any.file": field}});
    let broker = test_env.broker_with(change).await;
    let user = broker.user();
    for algorithm in READ_ALGORITHMS {
        let refused = create_with(&user, "Any.file", RIGHT, "image/png", algorithm).await;
        let refused = refused.expect_problem(400, "invalid-request");
        assert_eq!(refused.json["errors"][0]["pointer"], "/checksum/algorithm");
    }
    let none = user.upload("Any.file", RIGHT, "image/png").await;
    assert_eq!(none.json["checksum"], json!(null));
    let md5 = create_with(&user, "Any.file", RIGHT, "image/png", "md5").await;
    user.put(&md5.clone().expect(201), RIGHT).await.expect(200);
    user.confirm(md5.id()).await.expect(200);
    let rows = Rows::of(&test_env).lines("SELECT id AS line FROM uploads");
    assert_eq!(rows.len(), 2, "a refusal leaves no row");
}
