//! An upload of another owner answers like one that does not exist.

use super::*;
use crate::support::test_env::{Broker, backend_token, sign_backend, sign_user, user_token};

/// A well-formed id of no upload.
const MISSING: &str = "upl_01knavb5w8e59a3fjc8w6qgp7z";

const MALFORMED: [&str; 18] = [
    "upl_",
    "nope",
    "0",
    "-1",
    "null",
    "*",
    "upl_01knavb5w8e59a3fjc8w6qgp7",
    "upl_01knavb5w8e59a3fjc8w6qgp7zz",
    "upl_01KNAVB5W8E59A3FJC8W6QGP7Z",
    "UPL_01knavb5w8e59a3fjc8w6qgp7z",
    "upl_81knavb5w8e59a3fjc8w6qgp7z",
    "evt_01knavb5w8e59a3fjc8w6qgp7z",
    "upl_01knavb5w8e59a3fjc8w6qgp7%00",
    "upl_01knavb5w8e59a3fjc8w6qgp7z%20",
    "%20upl_01knavb5w8e59a3fjc8w6qgp7z",
    "'%20OR%20'1'='1",
    "019d5c1f-0f80-7c3e-9a41-2b6f5d7e8c90",
    "%ff%fe",
];

/// An answer without the members that identify the one request.
fn comparable(mut answer: Answer) -> (u16, Value, Vec<(String, String)>) {
    let instance = answer.json["instance"].take();
    let request = answer.header("x-request-id").to_owned();
    assert_eq!(instance, format!("urn:request:{request}"));
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), as_set(value.to_str().expect("ASCII"))))
        .collect();
    headers.sort();
    (answer.status, answer.json, headers)
}

/// A list in a header, in one order: the CORS layer keeps a set.
fn as_set(value: &str) -> String {
    let mut words: Vec<&str> = value.split(", ").collect();
    words.sort_unstable();
    words.join(", ")
}

fn users(broker: &Broker) -> Vec<Api> {
    ["1", "2", "3"].map(|name| broker.user_named(name)).into()
}

#[tokio::test]
async fn upload_of_another_owner_in_any_status_answers_like_a_missing_one() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let users = users(&broker);
    let mut owned = Vec::new();
    for user in &users {
        owned.push(statuses::in_every_status(&test_env, user).await);
    }
    let mut compared = 0;
    for operation in operations_of_owners() {
        for (caller, user) in users.iter().enumerate() {
            let missing = operation.call(user, MISSING, None).await;
            let missing = comparable(missing.expect_problem(404, "upload-not-found"));
            for id in MALFORMED {
                let answer = comparable(operation.call(user, id, None).await);
                assert_eq!(answer, missing, "{} of {id}", operation.name());
            }
            for (owner, uploads) in owned.iter().enumerate().filter(|(at, _)| *at != caller) {
                for (status, id) in uploads {
                    let answer = comparable(operation.call(user, id, None).await);
                    let what = format!("{} by {caller} on {owner}'s {status}", operation.name());
                    assert_eq!(answer, missing, "{what}");
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, operations_of_owners().len() * 3 * 2 * 8);
    for (user, uploads) in users.iter().zip(&owned) {
        for (status, id) in uploads {
            let read = user.read(id).await.expect(200);
            assert_eq!(read.json["status"], status.as_str(), "nothing was changed");
        }
    }
}

#[tokio::test]
async fn token_narrowed_to_other_fields_gets_not_found_for_its_owners_uploads() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let owner = broker.user();
    let uploads = statuses::in_every_status(&test_env, &owner).await;
    for fields in [
        &["Order.txid_proof", "ProductImage.*"][..],
        &[],
        &["Product.imag"],
        &["product.image"],
    ] {
        let token = sign_user(&user_token("1").fields(fields));
        let narrowed = broker.anonymous().with_token(&token);
        for operation in operations_of_owners() {
            let missing = comparable(operation.call(&narrowed, MISSING, None).await);
            assert_eq!(missing.0, 404);
            for (status, id) in &uploads {
                let answer = comparable(operation.call(&narrowed, id, None).await);
                assert_eq!(
                    answer,
                    missing,
                    "{} of a {status} with {fields:?}",
                    operation.name()
                );
            }
        }
    }
    for fields in [&["Product.image"][..], &["Product.*", "Order.txid_proof"]] {
        let token = sign_user(&user_token("1").fields(fields));
        let narrowed = broker.anonymous().with_token(&token);
        for (_, id) in &uploads {
            narrowed.read(id).await.expect(200);
        }
    }
}

#[tokio::test]
async fn user_whose_name_is_a_prefix_of_another_sees_nothing_of_it() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let id = statuses::in_status(&test_env, &broker.user_named("1"), Status::Confirmed).await;
    for name in ["11", "1 ", " 1", "01", "1:", "%31", "user:1", "１"] {
        let other = broker.user_named(name);
        let answer = other.read(&id).await;
        assert_eq!(answer.status, 404, "{name:?}: {}", answer.text);
        let list = other.get("/v1/uploads?owner=user:1").await.expect(200);
        assert_eq!(list.json["data"], json!([]), "{name:?}");
    }
}

#[tokio::test]
async fn attach_needs_a_backend_and_a_token_for_the_field() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let uploads = statuses::in_every_status(&test_env, &broker.user()).await;
    let token = backend_token("attachments:write").fields(&["ProductImage.*", "Order.txid_proof"]);
    let narrowed = broker.anonymous().with_token(&sign_backend(&token));
    let mut backends = operations_on_one();
    backends.retain(|operation| operation.scopes() == ["attachments:write"]);
    assert_eq!(backends.len(), 2, "attach and detach");
    for operation in backends {
        let missing = comparable(operation.call(&narrowed, MISSING, None).await);
        assert_eq!(
            (missing.0, &missing.1["code"]),
            (404, &json!("upload-not-found"))
        );
        for id in MALFORMED {
            let answer = comparable(operation.call(&narrowed, id, None).await);
            assert_eq!(answer, missing, "{} of {id}", operation.name());
        }
        for (status, id) in &uploads {
            let answer = comparable(operation.call(&narrowed, id, None).await);
            assert_eq!(answer, missing, "{} of a {status}", operation.name());
            // An owner can't either, and learns nothing of the current attachment.
            for id in [id.as_str(), MISSING, "nope"] {
                let answer = operation.call(&broker.user(), id, None).await;
                answer.expect_problem(403, "scope-insufficient");
            }
        }
    }
    for (status, id) in &uploads {
        let read = broker.user().read(id).await.expect(200);
        assert_eq!(read.json["status"], status.as_str(), "nothing was changed");
    }
}
