//! The OpenAPI 3.1 document, generated from the handlers. A handler's attribute lists the problem codes of a response in its
//! description; [`Problems`] replaces the list with the schema and an example for each code.

use serde_json::Value;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, Ref, RefOr, Response};
use utoipa::{Modify, OpenApi, ToSchema};

use crate::domain::upload::FieldError;

use super::ops::{manual_actions, overview, probes, stats, timeline};
use super::problem::{Code, PROBLEM_JSON, Problem};
use super::resources::{attachments, bucket_notifications, grants, receipts, upload_list, uploads};

/// The OpenAPI 3.1 document. The `openapi` command prints it, and `/openapi.json` serves it.
pub fn openapi() -> Document {
    Api::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Bytepass",
        description = "A direct-to-S3 upload broker: create an upload, send the file to the bucket with a presigned PUT, confirm the upload.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(
        uploads::create, upload_list::list, uploads::read, uploads::remove, uploads::confirm, uploads::presign,
        uploads::download, attachments::attach, attachments::detach, attachments::list, grants::mint, receipts::jwks,
        stats::stats, overview::overview, timeline::timeline, manual_actions::sweep, manual_actions::replay, manual_actions::recheck,
        manual_actions::expire, probes::livez, probes::readyz,
        bucket_notifications::receive,
    ),
    components(schemas(ProblemView, FieldError)),
    tags(
        (name = "Uploads", description = "Create, confirm, read and delete uploads."),
        (name = "Attachments", description = "Attach uploads to records, for backends."),
        (name = "Grants", description = "Uploads for callers without a token of their own."),
        (name = "Receipts", description = "Public keys that verify the receipt of a confirm, without a request to the broker."),
        (name = "Operations", description = "Statistics, probes, bucket notifications and manual actions."),
    ),
    modifiers(&Bearer, &Problems)
)]
struct Api;

/// An error response: RFC 9457, `application/problem+json`.
#[derive(ToSchema)]
#[schema(as = Problem)]
#[allow(
    dead_code,
    reason = "only the schema of the document that problem/mod.rs writes"
)]
struct ProblemView {
    /// The address of the description of the code.
    r#type: String,
    /// What is wrong, the same for every occurrence.
    title: String,
    /// The HTTP status.
    status: u16,
    /// The code, for programs. It never changes.
    code: String,
    /// What is wrong with this request, for people.
    detail: String,
    /// The id of this request in the broker's log.
    instance: String,
    /// One entry for each wrong member.
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// The current status of the upload, with `wrong-status` and `already-attached`.
    #[schema(required = false)]
    status_now: String,
}

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        add_notification_schemes(document);
        let text = "A JWT of a configured issuer. Its claim `scope` lists the allowed scopes; `fields` limits it to some fields. A grant of `POST /v1/grants` is also a bearer token, for its own uploads.";
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some(text))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The security schemes of senders of bucket notifications.
fn add_notification_schemes(document: &mut Document) {
    let http = |scheme, text: &str| {
        let scheme = HttpBuilder::new().scheme(scheme);
        SecurityScheme::Http(scheme.description(Some(text)).build())
    };
    let secret = "The value of `events.secret` in the configuration, not a JWT.";
    let password = "Any user name, and the value of `events.secret` as the password.";
    let sns = ApiKeyValue::with_description(
        "x-amz-sns-message-type",
        "A message of a topic in `events.sns_topics`, with the signature of SNS in its body.",
    );
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("eventSecret", http(HttpAuthScheme::Bearer, secret));
    components.add_security_scheme("eventPassword", http(HttpAuthScheme::Basic, password));
    components.add_security_scheme("snsSignature", SecurityScheme::ApiKey(ApiKey::Header(sns)));
}

struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut Document) {
        for (path, item) in &mut document.paths.paths {
            let has_input = path == "/v1/uploads"
                || path == "/v1/ops/overview"
                || path.starts_with("/v1/attachments/");
            if let Some(operation) = &mut item.get {
                complete(operation, false, has_input);
            }
            for operation in [&mut item.post, &mut item.delete].into_iter().flatten() {
                complete(operation, true, true);
            }
        }
    }
}

/// Adds the codes that follow from the kind of operation, then the content of every problem response.
fn complete(operation: &mut Operation, has_body: bool, has_input: bool) {
    let public = operation.security.iter().flatten().all(|need| {
        serde_json::to_value(need).is_ok_and(|need| need == Value::Object(Default::default()))
    });
    let mut codes = vec!["internal"];
    if has_input {
        codes.push("invalid-request");
    }
    if has_body {
        codes.extend([
            "request-timeout",
            "payload-too-large",
            "unsupported-media-type",
        ]);
    }
    if !public {
        codes.extend(["token-missing", "token-invalid", "rate-limited"]);
        codes.extend([
            "store-unavailable",
            "database-unavailable",
            "issuer-unavailable",
        ]);
    }
    let responses = &mut operation.responses.responses;
    for name in codes {
        let Some(code) = Code::parse(name) else {
            continue;
        };
        let status = code.row().status.to_string();
        let entry = responses
            .entry(status)
            .or_insert_with(|| RefOr::T(Response::new("")));
        if let RefOr::T(response) = entry {
            let comma = if response.description.is_empty() {
                ""
            } else {
                ", "
            };
            response.description.push_str(&format!("{comma}{name}"));
        }
    }
    for (status, response) in responses {
        if let (RefOr::T(response), true) = (response, status.as_str() >= "400") {
            describe(response);
        }
    }
}

/// Turns the list `object-missing, wrong-status` into an example for each code.
fn describe(response: &mut Response) {
    let codes: Vec<Code> = response
        .description
        .split(", ")
        .filter_map(Code::parse)
        .collect();
    let examples = codes.iter().map(|&code| {
        let problem = Problem::new(code, code.row().remedy);
        let instance = "urn:request:019d5c1f-0f80-7c3e-9a41-2b6f5d7e8c90";
        let document = problem.document("https://broker.example", instance);
        (
            code.row().name,
            ExampleBuilder::new()
                .summary(code.row().title)
                .value(Some(document))
                .build(),
        )
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .examples_from_iter(examples)
        .build();
    response
        .content
        .insert(PROBLEM_JSON.to_owned(), RefOr::T(content));
    let names: Vec<String> = codes
        .iter()
        .map(|code| format!("`{}`", code.row().name))
        .collect();
    response.description = names.join(", ");
}
