//! Our own pages and the headers that every answer carries.

mod once;
mod ops;

use serde_json::Value;

use crate::support::statuses::BYTES;
use crate::support::test_env::TestEnv;

#[tokio::test]
async fn pages_have_a_strict_policy_and_load_only_own_files() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let anonymous = broker.anonymous();
    for page in ["/docs", "/problems"] {
        let answer = anonymous.get(page).await.expect(200);
        let policy = answer.header("content-security-policy").to_owned();
        for needed in [
            "default-src 'none'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ] {
            assert!(policy.contains(needed), "{page}: {policy}");
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{page}: {policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        let text = answer.text.to_lowercase();
        for inline in [
            "<script",
            "<style",
            " style=",
            " onclick=",
            " onload=",
            " onerror=",
            "javascript:",
            "<iframe",
            "<form",
            "<base",
        ] {
            assert!(!text.contains(inline), "{page} holds {inline}");
        }
        let mut loaded = 0;
        for part in answer
            .text
            .split(['"', '>', '<'])
            .collect::<Vec<_>>()
            .windows(2)
        {
            let address = part[1];
            if part[0].ends_with("src=")
                || (part[0].ends_with("href=") && !address.starts_with('#'))
            {
                assert!(!address.contains("//"), "{page} leads to {address}");
                let path = format!("/{}", address.trim_start_matches('/'));
                let found = anonymous
                    .get(path.split('#').next().unwrap_or_default())
                    .await;
                assert_eq!(found.status, 200, "{page} leads to {address}");
                loaded += 1;
            }
        }
        assert!(loaded >= 4, "{page}: {loaded}");
    }
}

#[tokio::test]
async fn every_response_has_the_security_headers() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let created = user
        .create("Product.image", BYTES, "image/jpeg")
        .await
        .expect(201);
    for answer in [
        user.read(created.id()).await,
        user.get("/nowhere").await,
        broker.anonymous().get("/v1/uploads").await,
        user.post("/v1/uploads", &Value::Null).await,
        created.clone(),
        user.delete("/livez").await,
    ] {
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("default-src 'none'")
        );
        assert_eq!(answer.header("server"), "");
        assert_eq!(answer.header("x-request-id").len(), 36);
    }
}
