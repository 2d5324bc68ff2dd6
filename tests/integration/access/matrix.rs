//! The authorization matrix, compared with the OpenAPI document and the server. An operation without a row fails the test.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::support::test_env::{Broker, sign_backend, sign_user, user_token};
use crate::support::webhook_receiver::{Receiver, webhooks};

/// The outcome for a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gets {
    /// Success.
    It,
    /// A page without the upload.
    NotInTheList,
    /// 401 `token-missing`.
    NoToken,
    /// 401 `token-invalid`.
    BadToken,
    /// 404 `upload-not-found`.
    Nothing,
    /// 403 `scope-insufficient`.
    NoScope,
    /// 403 `field-not-allowed`.
    NoField,
}

use Gets::{BadToken, It, NoField, NoScope, NoToken, NotInTheList, Nothing};

/// The columns: the callers of an operation on an upload of user 1 for `Product.image`.
const CALLERS: [&str; 7] = [
    "nobody",
    "other user",
    "owner",
    "service",
    "ops",
    "grants only",
    "owner, narrowed to Order.*",
];

/// Each operation with what each of [`CALLERS`] gets.
const MATRIX: [(&str, [Gets; 7]); 22] = [
    // The service names the owner.
    (
        "POST /v1/uploads",
        [NoToken, It, It, It, NoScope, NoScope, NoField],
    ),
    (
        "GET /v1/uploads",
        [NoToken, NotInTheList, It, It, It, NoScope, NotInTheList],
    ),
    (
        "GET /v1/uploads/{id}",
        [NoToken, Nothing, It, It, It, NoScope, Nothing],
    ),
    (
        "DELETE /v1/uploads/{id}",
        [NoToken, Nothing, It, It, NoScope, NoScope, Nothing],
    ),
    (
        "POST /v1/uploads/{id}/confirm",
        [NoToken, Nothing, It, It, NoScope, NoScope, Nothing],
    ),
    (
        "POST /v1/uploads/{id}/presign",
        [NoToken, Nothing, It, It, NoScope, NoScope, Nothing],
    ),
    // Ops see rows, not payment proofs.
    (
        "GET /v1/uploads/{id}/download",
        [NoToken, Nothing, It, It, NoScope, NoScope, Nothing],
    ),
    // Attachments are decided by the backend, not by the owner.
    (
        "POST /v1/uploads/{id}/attach",
        [NoToken, NoScope, NoScope, It, NoScope, NoScope, NoScope],
    ),
    (
        "POST /v1/uploads/{id}/detach",
        [NoToken, NoScope, NoScope, It, NoScope, NoScope, NoScope],
    ),
    (
        "GET /v1/attachments/{model}/{object_id}",
        [NoToken, NotInTheList, It, It, It, NoScope, NotInTheList],
    ),
    (
        "GET /v1/stats",
        [NoToken, NoScope, NoScope, NoScope, It, NoScope, NoScope],
    ),
    (
        "POST /v1/uploads/{id}/recheck",
        [NoToken, NoScope, NoScope, NoScope, It, NoScope, NoScope],
    ),
    (
        "POST /v1/uploads/{id}/expire",
        [NoToken, NoScope, NoScope, NoScope, It, NoScope, NoScope],
    ),
    (
        "GET /v1/ops/overview",
        [NoToken, NoScope, NoScope, NoScope, It, NoScope, NoScope],
    ),
    (
        "POST /v1/ops/sweep",
        [NoToken, NoScope, NoScope, NoScope, It, NoScope, NoScope],
    ),
    (
        "POST /v1/ops/webhooks/replay",
        [NoToken, NoScope, NoScope, NoScope, It, NoScope, NoScope],
    ),
    (
        "GET /v1/uploads/{id}/timeline",
        [NoToken, NoScope, NoScope, NoScope, It, NoScope, NoScope],
    ),
    // No caller's token is the bucket's secret.
    (
        "POST /v1/events/s3",
        [
            NoToken, BadToken, BadToken, BadToken, BadToken, BadToken, BadToken,
        ],
    ),
    (
        "POST /v1/grants",
        [NoToken, NoScope, NoScope, It, NoScope, It, NoScope],
    ),
    ("GET /.well-known/jwks.json", [It; 7]),
    ("GET /livez", [It; 7]),
    ("GET /readyz", [It; 7]),
];

fn callers(broker: &Broker) -> [Api; 7] {
    let narrowed = user_token("1").fields(&["Order.*"]);
    [
        broker.anonymous(),
        broker.user_named("2"),
        broker.user(),
        broker.service(),
        broker.ops(),
        broker.backend("grants:write"),
        broker.anonymous().with_token(&sign_user(&narrowed)),
    ]
}

fn got(answer: &Answer, id: &str) -> Option<Gets> {
    let lists = answer.json["data"].as_array().is_some_and(|data| {
        // Of the uploads, not of the statistics and the timeline.
        answer.json.get("oldest_pending").is_none()
            && data
                .iter()
                .all(|one| one["id"] != id && one["kind"].is_null())
    });
    match (answer.status, answer.code()) {
        (200..=299, _) if lists => Some(NotInTheList),
        (200..=299, _) => Some(It),
        (401, "token-missing") => Some(NoToken),
        (401, "token-invalid") => Some(BadToken),
        (404, "upload-not-found") => Some(Nothing),
        (403, "scope-insufficient") => Some(NoScope),
        (403, "field-not-allowed") => Some(NoField),
        _ => None,
    }
}

#[tokio::test]
async fn every_operation_answers_every_kind_of_caller_as_in_the_matrix() {
    let rows: BTreeMap<&str, [Gets; 7]> = MATRIX.into();
    let named: BTreeSet<String> = rows.keys().map(|name| (*name).to_owned()).collect();
    let there: BTreeSet<String> = operations().iter().map(Operation::name).collect();
    assert_eq!(
        there, named,
        "an operation has no row, or a row no operation"
    );

    let test_env = TestEnv::new().await;
    let receiver = Receiver::start().await;
    let shop = webhooks(3, vec![receiver.endpoint(ENDPOINT)]);
    let broker = test_env.broker_with(shop).await;
    let (owner, callers) = (broker.user(), callers(&broker));
    for operation in operations() {
        let name = operation.name();
        for (column, caller) in callers.iter().enumerate() {
            let id = operation.prepare(&test_env, &owner).await;
            let before = owner.read(&id).await.expect(200);
            let named = (CALLERS[column] == "service").then_some("user:1");
            let answer = operation.call(caller, &id, named).await;
            let expected = rows[name.as_str()][column];
            let what = format!("{name} by {}: {answer:?}", CALLERS[column]);
            assert_eq!(got(&answer, &id), Some(expected), "{what}");
            if !matches!(expected, It | NotInTheList) {
                let kept = owner.read(&id).await.expect(200);
                assert_eq!(kept.json, before.json, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn each_scope_allows_exactly_the_operations_in_the_document() {
    let test_env = TestEnv::new().await;
    let receiver = Receiver::start().await;
    let shop = webhooks(3, vec![receiver.endpoint(ENDPOINT)]);
    let broker = test_env.broker_with(shop).await;
    let owner = broker.user();
    let mut operations = operations();
    operations.retain(|it| !it.is_for_the_bucket());
    for operation in operations {
        let allowing = operation.scopes();
        for scope in bytepass::domain::principal::Scope::ALL {
            let caller = broker.backend(scope.as_str());
            let id = operation.prepare(&test_env, &owner).await;
            let named = (scope.as_str() == "uploads:confirm").then_some("user:1");
            let answer = operation.call(&caller, &id, named).await;
            let open = allowing.is_empty() || allowing.iter().any(|it| it == scope.as_str());
            let refused = answer.code() == "scope-insufficient";
            let what = format!("{} with {}: {answer:?}", operation.name(), scope.as_str());
            assert_eq!(!refused, open, "{what}");
            // `uploads:write` is for one's own: this caller is `service:shop`.
            let foreign = scope.as_str() == "uploads:write" && operation.path.contains("{id}");
            match (open, foreign) {
                (true, true) => assert_eq!(answer.code(), "upload-not-found", "{what}"),
                (true, false) => assert!((200..300).contains(&answer.status), "{what}"),
                (false, _) => assert_eq!(answer.status, 403, "{what}"),
            }
        }
    }
}

#[tokio::test]
async fn head_and_wrong_methods_need_a_token_too() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let id = statuses::in_status(&test_env, &broker.user(), Status::Confirmed).await;
    for operation in operations() {
        let path = operation.path.replace("{id}", &id);
        let private = !operation.scopes().is_empty();
        let head = send(broker.anonymous().request(Method::HEAD, &path)).await;
        let expected = match (operation.method.as_str(), private) {
            ("GET", false) => 200,
            ("GET", true) => 401,
            // Stores check the endpoint this way.
            _ if operation.is_for_the_bucket() => 200,
            // A HEAD is answered as the GET of the same path.
            _ if ["/v1/uploads", "/v1/uploads/{id}"].contains(&operation.path.as_str()) => 401,
            _ => 405,
        };
        assert_eq!(head.status, expected, "HEAD {path}");
        for method in ["PUT", "PATCH", "TRACE", "CONNECTX"] {
            let request = broker
                .anonymous()
                .request(method.parse().expect("a method"), &path);
            let answer = send(request).await;
            assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn token_without_scopes_allows_only_public_operations() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let token = crate::support::test_env::backend_token("");
    let caller = broker.anonymous().with_token(&sign_backend(&token));
    for operation in operations() {
        let id = operation.prepare(&test_env, &broker.user()).await;
        let answer = operation.call(&caller, &id, None).await;
        if operation.is_for_the_bucket() {
            answer.expect_problem(401, "token-invalid");
        } else if operation.scopes().is_empty() {
            answer.expect(200);
        } else {
            answer.expect_problem(403, "scope-insufficient");
        }
    }
}
