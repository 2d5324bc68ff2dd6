//! Authorization: every operation of the OpenAPI document, for every kind of caller.

mod inputs;
mod matrix;
mod scopes;
mod strangers;
mod timing;
mod tokens;

use bytepass::domain::upload::Status;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, send};
use crate::support::statuses::{self, BYTES};
use crate::support::test_env::TestEnv;

/// The name of the broker's webhook endpoint.
const ENDPOINT: &str = "shop";

/// The OpenAPI document.
fn document() -> Value {
    serde_json::to_value(bytepass::http::openapi()).expect("JSON")
}

/// An operation: its method, its path with `{id}`, and its entry in the document.
struct Operation {
    method: Method,
    path: String,
    spec: Value,
}

impl Operation {
    /// `POST /v1/uploads`.
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The scopes of which a caller needs one; empty for public operations.
    fn scopes(&self) -> Vec<String> {
        let needs = self.spec["security"].as_array().expect("security");
        needs
            .iter()
            .filter_map(|need| need["bearer"][0].as_str().map(str::to_owned))
            .collect()
    }

    /// Whether it is for the bucket, which does not authenticate with a token.
    fn is_for_the_bucket(&self) -> bool {
        self.spec["security"][0]["eventSecret"].is_array()
    }

    /// Calls it as this caller, on this upload.
    async fn call(&self, caller: &Api, id: &str, owner: Option<&str>) -> Answer {
        let path = self.path.replace("{model}/{object_id}", "Product/{id}");
        let request = caller.request(self.method.clone(), &path.replace("{id}", id));
        if self.spec["requestBody"].is_null() {
            return send(request).await;
        }
        if self.path.ends_with("/attach") {
            return send(request.json(&json!({"object_id": "42"}))).await;
        }
        if self.path == "/v1/ops/webhooks/replay" {
            return send(request.json(&json!({"endpoint": ENDPOINT, "dead": true}))).await;
        }
        let mut body = json!({
            "field": "Product.image", "filename": "cat.jpg", "content_type": "image/jpeg", "size": BYTES.len(),
        });
        if self.path == "/v1/grants" {
            body = json!({"field": "Product.image", "owner": "user:1"});
        } else if let Some(owner) = owner {
            body["owner"] = json!(owner);
        }
        send(request.json(&body)).await
    }

    /// Makes an upload of `user` on which the owner's call of this operation succeeds; returns its id.
    async fn prepare(&self, test_env: &TestEnv, user: &Api) -> String {
        match self.path.as_str() {
            "/v1/uploads/{id}/confirm" | "/v1/uploads/{id}/recheck" => {
                let staged = user.stage("Product.image", BYTES, "image/jpeg").await;
                staged.id().to_owned()
            }
            "/v1/uploads/{id}/download" | "/v1/uploads/{id}/attach" => {
                statuses::in_status(test_env, user, Status::Confirmed).await
            }
            "/v1/uploads/{id}/detach" | "/v1/attachments/{model}/{object_id}" => {
                statuses::in_status(test_env, user, Status::Attached).await
            }
            _ => statuses::in_status(test_env, user, Status::Pending).await,
        }
    }
}

/// Every operation.
fn operations() -> Vec<Operation> {
    let document = document();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, spec) in item.as_object().expect("operations") {
            all.push(Operation {
                method: method.to_uppercase().parse().expect("a method"),
                path: path.clone(),
                spec: spec.clone(),
            });
        }
    }
    all
}

/// Those that name an upload.
fn operations_on_one() -> Vec<Operation> {
    let mut all = operations();
    all.retain(|operation| operation.path.contains("{id}"));
    all
}

/// Those of them that an owner may call for its own.
fn operations_of_owners() -> Vec<Operation> {
    let mut all = operations_on_one();
    all.retain(|operation| operation.scopes().iter().any(|it| it == "uploads:write"));
    all
}
