//! `serve` in front of a bucket that fails in every way.

use serde_json::json;

use super::{Canaries, PERSON, TALKATIVE, clean, drive, without_person};
use crate::support::api::Api;
use crate::support::broker_process::BrokerProcess;
use crate::support::s3_proxy::S3Proxy;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::test_env::{TestEnv, user_token};

#[tokio::test]
async fn serve_at_trace_level_shows_no_secret_while_the_bucket_fails() {
    let test_env = TestEnv::new().await;
    let upstream = test_env
        .bucket
        .server
        .endpoint
        .trim_start_matches("http://");
    let proxy = S3Proxy::start(upstream.parse().expect("an address"));
    let (session, secret) = (
        "canary-session-token-0123456789",
        "canary-of-the-users-issuer-32-bytes-long",
    );
    let issuer = json!({"name": "users", "issuer": "users", "audience": "bytepass", "owner_prefix": "user:", "scopes": ["uploads:write"], "secret": secret});
    let settings = |listen: std::net::SocketAddr, chain: bool| {
        let keys = if chain {
            json!({"access_key_id": "", "secret_access_key": ""})
        } else {
            json!({})
        };
        let mut storage = json!({"endpoint": proxy.endpoint(), "attempt_timeout_ms": 500, "operation_timeout_ms": 1000, "copy_base_ms": 1000});
        storage
            .as_object_mut()
            .expect("a table")
            .extend(keys.as_object().expect("a table").clone());
        let change = json!({"server": {"listen": listen.to_string()}, "storage": storage, "auth": {"issuers": [issuer.clone()]}});
        toml::to_string(&test_env.settings(change)).expect("TOML")
    };
    for chain in [false, true] {
        let mut env = TALKATIVE.to_vec();
        if chain {
            env.extend([
                (
                    "AWS_ACCESS_KEY_ID",
                    test_env.bucket.server.access_key.as_str(),
                ),
                ("AWS_SECRET_ACCESS_KEY", &test_env.bucket.server.secret_key),
                ("AWS_SESSION_TOKEN", session),
            ]);
        }
        let broker = BrokerProcess::serve(|listen| settings(listen, chain), &env);
        let token = user_token("1").sign(secret.as_bytes());
        let user = Api::new(&broker.url, &token);
        let mut canaries: Canaries = [
            ("the token", token.as_str()),
            ("the issuer's secret", secret),
            ("the session token", session),
            ("the secret key", &test_env.bucket.server.secret_key),
            ("a person's file name", PERSON),
        ]
        .map(|(what, secret)| (what.to_owned(), secret.to_owned()))
        .into();
        if let Some(password) = url::Url::parse(&test_env.database.url())
            .expect("a URL")
            .password()
        {
            canaries.insert("the database's password".to_owned(), password.to_owned());
        }
        let mut problems = Vec::new();
        for act in [
            Action::Count,
            Action::Answer(403, "SignatureDoesNotMatch"),
            Action::Answer(500, "InternalError"),
            Action::Answer(503, "SlowDown"),
            Action::LoseAnswer,
        ] {
            // The client's own PUT gets an answer, as the client of this test demands one.
            let lost = matches!(act, Action::LoseAnswer);
            proxy.rule(
                if lost {
                    RequestMatch::copy()
                } else {
                    RequestMatch::any()
                },
                act,
            );
            problems.extend(drive(&user, &mut canaries).await);
            proxy.clear();
        }
        let shown = canaries
            .keys()
            .any(|name| name.starts_with("X-Amz-Security-Token"));
        assert_eq!(shown, chain, "the session token is in use");
        for problem in &problems {
            clean(
                "a problem",
                &without_person(&canaries),
                format!("{problem:?}").as_bytes(),
            );
        }
        let log = broker.log();
        assert!(log.contains("copy-object: "), "{log}");
        clean("standard error", &canaries, log.as_bytes());
        assert!(!log.contains("X-Amz-"), "{log}");
        clean("standard output", &canaries, broker.output().as_bytes());
    }
}
