//! The OpenAPI 3.1 document, made from the handlers. Problems are filled in from the table of codes: a handler's attribute names
//! its codes in the description of a response, and [`Problems`] adds schema and examples.

use serde_json::Value;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, Ref, RefOr, Response};
use utoipa::{Modify, OpenApi, ToSchema};

use super::problem::{Code, PROBLEM_JSON, Problem};
use super::resources::{attachments, bucket_notifications, grants, receipts, upload_list, uploads};
use super::{operations, ops, views};

/// The whole API as an OpenAPI 3.1 document; the `openapi` command prints it, `/openapi.json` serves it.
pub fn openapi() -> Document {
    Api::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Bytepass",
        description = "A direct-to-S3 upload broker: ask for a presigned PUT, send the bytes straight to the bucket, confirm.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(
        uploads::create, upload_list::list, uploads::read, uploads::remove, uploads::confirm, uploads::presign,
        uploads::download, attachments::attach, attachments::detach, attachments::list, grants::mint, receipts::jwks,
        operations::stats, ops::overview, ops::timeline, ops::sweep, ops::replay, operations::recheck, operations::expire, operations::livez, operations::readyz,
        bucket_notifications::receive,
    ),
    components(schemas(ProblemView, views::FieldErrorView)),
    tags(
        (name = "Uploads", description = "From asking to a sealed object."),
        (name = "Attachments", description = "Which upload belongs to which record: for backends."),
        (name = "Grants", description = "Uploads for callers without a token of their own."),
        (name = "Receipts", description = "What verifies the receipt of a confirm, anywhere and offline."),
        (name = "Operations", description = "Statistics, probes, and pending uploads settled by hand."),
    ),
    modifiers(&Bearer, &Problems)
)]
struct Api;

/// Why a request failed: RFC 9457, `application/problem+json`.
#[derive(ToSchema)]
#[schema(as = Problem)]
#[allow(dead_code, reason = "describes what problem.rs writes")]
struct ProblemView {
    /// The code's description.
    r#type: String,
    /// What happened, the same for every occurrence.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What to branch on: never changes.
    code: String,
    /// What happened this time, and what to do, for a person.
    detail: String,
    /// Names this occurrence in the log.
    instance: String,
    /// Each thing that is wrong.
    #[schema(required = false)]
    errors: Vec<views::FieldErrorView>,
    /// The status that the upload has, with `wrong-status`.
    #[schema(required = false)]
    status_now: String,
}

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        add_senders(document);
        let text = "A JWT of a configured issuer. Its `scope` lists what it may do; `fields` narrows it to some fields. A grant of `POST /v1/grants` is a bearer too, for its own uploads.";
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

/// What a sender of events proves itself by.
fn add_senders(document: &mut Document) {
    let http = |scheme, text: &str| {
        let scheme = HttpBuilder::new().scheme(scheme);
        SecurityScheme::Http(scheme.description(Some(text)).build())
    };
    let secret = "`events.secret` of the configuration; no token of a caller.";
    let password = "Any user, and `events.secret` as the password.";
    let sns = ApiKeyValue::with_description(
        "x-amz-sns-message-type",
        "A message of a topic in `events.sns_topics`, with SNS's signature in its body.",
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
            let asks = path == "/v1/uploads"
                || path == "/v1/ops/overview"
                || path.starts_with("/v1/attachments/");
            if let Some(operation) = &mut item.get {
                complete(operation, false, asks);
            }
            for operation in [&mut item.post, &mut item.delete].into_iter().flatten() {
                complete(operation, true, true);
            }
        }
    }
}

/// Adds what an operation may answer because of what it is, then gives every problem its content.
fn complete(operation: &mut Operation, has_body: bool, has_input: bool) {
    let public = operation.security.iter().flatten().all(|need| {
        serde_json::to_value(need).is_ok_and(|need| need == Value::Object(Default::default()))
    });
    let mut also = vec!["internal"];
    if has_input {
        also.push("invalid-request");
    }
    if has_body {
        also.extend([
            "request-timeout",
            "payload-too-large",
            "unsupported-media-type",
        ]);
    }
    if !public {
        also.extend(["token-missing", "token-invalid", "rate-limited"]);
        also.extend([
            "store-unavailable",
            "database-unavailable",
            "issuer-unavailable",
        ]);
    }
    let responses = &mut operation.responses.responses;
    for name in also {
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

/// From `object-missing, wrong-status` to two examples and a sentence.
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
