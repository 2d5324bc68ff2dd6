//! A broker with a wrong clock, by libfaketime: its operations may fail, and none has a wrong result.

use serde_json::json;

use crate::support::broker_process::BrokerProcess;
use crate::support::needs;
use crate::support::test_env::{TestEnv, sign_user, user_token};
use crate::support::tokens::now_secs;
use crate::support::upload_steps::{eventually, plant, staging_key};

const PICTURE: &[u8] = b"\x89PNG a picture at the wrong time";
const TWO_HOURS: i64 = 7_200;

/// The library that moves the wall clock of a process; `None` skips the test.
fn library() -> Option<String> {
    needs("BYTEPASS_TEST_FAKETIME")
}

fn with_clock(test_env: &TestEnv, library: &str, offset_secs: i64) -> BrokerProcess {
    let offset = format!("{offset_secs:+}s");
    let env = [
        ("LD_PRELOAD", library),
        ("FAKETIME", offset.as_str()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    test_env.process(json!({}), &env)
}

/// A user's token of an issuer whose clock is off by this much.
fn token_at(offset_secs: i64) -> String {
    let now = now_secs() + offset_secs;
    let token = user_token("1").claim("iat", json!(now));
    sign_user(&token.claim("exp", json!(now + 600)))
}

#[tokio::test]
async fn broker_clock_two_hours_off_refuses_valid_tokens_with_a_reason() {
    let Some(library) = library() else { return };
    let test_env = TestEnv::new().await;
    for (offset, reason) in [(TWO_HOURS, "expired"), (-TWO_HOURS, "future")] {
        let broker = with_clock(&test_env, &library, offset);
        let right = broker.as_caller(&token_at(0));
        let answer = right.create("Product.image", PICTURE, "image/png").await;
        let answer = answer.expect_problem(401, "token-invalid");
        let detail = answer.json["detail"].as_str().expect("a reason");
        assert!(detail.contains(reason), "{offset}: {detail}");
        let same_clock = broker.as_caller(&token_at(offset));
        let created = same_clock.create("Product.image", PICTURE, "image/png");
        created.await.expect(201);
    }
}

#[tokio::test]
async fn issuer_clock_two_hours_off_is_refused_and_thirty_seconds_are_accepted() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    for offset in [-TWO_HOURS, TWO_HOURS] {
        let caller = broker.anonymous().with_token(&token_at(offset));
        let answer = caller.create("Product.image", PICTURE, "image/png").await;
        answer.expect_problem(401, "token-invalid");
    }
    for offset in [-20, 20] {
        let caller = broker.anonymous().with_token(&token_at(offset));
        let answer = caller.create("Product.image", PICTURE, "image/png").await;
        answer.expect(201);
    }
}

#[tokio::test]
async fn broker_clock_two_hours_off_neither_confirms_nor_rejects_on_signature_errors() {
    let Some(library) = library() else { return };
    let test_env = TestEnv::new().await;
    let right = test_env.broker().await;
    for offset in [TWO_HOURS, -TWO_HOURS] {
        let broker = with_clock(&test_env, &library, offset);
        let user = broker.as_caller(&token_at(offset));
        let created = user.create("Product.image", PICTURE, "image/png").await;
        let created = created.expect(201);
        let id = created.id().to_owned();
        // A URL that expired two hours ago is refused; one dated two hours from now is accepted by some stores.
        let put = user.put(&created, PICTURE).await;
        let staged = test_env.bucket.head(&staging_key(&id)).await.is_some();
        match put.status {
            400 | 403 => assert!(!staged, "{offset}: {put:?}"),
            200 => assert!(staged && offset > 0, "{offset}: {put:?}"),
            _ => panic!("{offset}: {put:?}"),
        }

        plant(&test_env.bucket, &id, PICTURE, None).await;
        let confirm = user.confirm(&id).await;
        let status = user.read(&id).await.expect(200).json["status"].clone();
        match confirm.status {
            // A store that checks the client's clock: the answer is unclear, so nothing changes.
            503 => {
                confirm.expect_problem(503, "store-unavailable");
                assert_eq!(status, "pending", "{offset}");
            }
            // A store that does not check it: its answer is right.
            200 => assert_eq!(status, "confirmed", "{offset}"),
            other => panic!("{offset}: {other} {}", confirm.text),
        }
        // A broker with the right clock confirms it.
        let confirmed = right.user().confirm(&id).await.expect(200);
        let key = confirmed.json["key"].as_str().expect("a key");
        let object = test_env.bucket.get(key).await.expect("the object");
        assert_eq!(object.as_ref(), PICTURE);
    }
}

#[tokio::test]
async fn clock_jump_of_two_hours_in_a_running_broker_changes_no_upload() {
    let Some(library) = library() else { return };
    let test_env = TestEnv::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let clock = folder.path().join("clock");
    std::fs::write(&clock, "+0s").expect("a file");
    let env = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().expect("a path")),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let broker = test_env.process(json!({}), &env);
    let user = broker.as_caller(&token_at(0));
    let staged = user.stage("Product.image", PICTURE, "image/png").await;
    for offset in [TWO_HOURS, -TWO_HOURS, 0] {
        std::fs::write(&clock, format!("{offset:+}s")).expect("a file");
        let then = broker.as_caller(&token_at(offset));
        eventually("the clock has jumped", || async {
            then.read(staged.id()).await.status == 200
        })
        .await;
        let read = then.read(staged.id()).await.expect(200);
        assert_eq!(read.json["status"], "pending", "{offset}");
    }
    user.confirm(staged.id()).await.expect(200);
}
