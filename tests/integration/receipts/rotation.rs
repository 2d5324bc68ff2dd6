//! Keys are rotated while receipts are valid.

use serde_json::json;

use super::receipt_of;
use crate::support::receipts::{self, KID, OTHER_PEM, P256_PEM, PEM, RETIRED_PEM};
use crate::support::statuses::BYTES;
use crate::support::test_env::TestEnv;

#[tokio::test]
async fn rotated_keys_are_both_valid_and_a_retired_one_stays_published() {
    let test_env = TestEnv::new().await;
    let current = json!({"kid": KID, "pem": PEM});
    let next = json!({"kid": "2026-02", "pem": P256_PEM});
    let retired = json!({"kid": "2025", "pem": RETIRED_PEM});
    // The retired key comes first: it can't sign, so it is skipped.
    let keys = json!({"receipts": {"keys": [retired, current, next]}});
    let before = test_env.broker_with(keys).await;
    let keys = json!({"receipts": {"keys": [next, current, retired]}});
    let after = test_env.broker_with(keys).await;
    let mut tokens = Vec::new();
    for (broker, alg, kid) in [(&before, "EdDSA", KID), (&after, "ES256", "2026-02")] {
        let confirmed = broker
            .user()
            .upload("Product.image", BYTES, "image/png")
            .await;
        let receipt = receipt_of(&confirmed);
        let (header, _) = receipts::read(&receipt);
        assert_eq!((&header["alg"], &header["kid"]), (&json!(alg), &json!(kid)));
        tokens.push(receipt);
    }
    for broker in [&before, &after] {
        let published = broker
            .anonymous()
            .get("/.well-known/jwks.json")
            .await
            .expect(200);
        let set = published.json["keys"].as_array().expect("keys");
        let mut kids: Vec<_> = set.iter().map(|key| key["kid"].as_str()).collect();
        kids.sort_unstable();
        assert_eq!(kids, [Some("2025"), Some("2026-02"), Some(KID)]);
        assert!(
            set.iter()
                .all(|key| key.get("d").is_none() && key["use"] == "sig")
        );
        for token in &tokens {
            assert!(receipts::verifies(token, &published.json), "{token}");
        }
    }
    let strange = json!({"receipts": {"keys": [{"kid": KID, "pem": OTHER_PEM}]}});
    let strange = test_env.broker_with(strange).await;
    let published = strange.anonymous().get("/.well-known/jwks.json").await;
    assert!(!receipts::verifies(&tokens[0], &published.json));
}
