use crate::auth::AuthError;
use crate::broker::{BrokerError, Refusal, RefusalKind};
use crate::domain::field::FieldName;
use crate::domain::upload::{FieldError, Status};
use crate::http::problem::Problem;
use crate::http::problem::codes::{CODES, Code};

/// Codes and statuses of the contract.
const CONTRACT: [(&str, u16); 26] = [
    ("invalid-request", 400),
    ("token-missing", 401),
    ("token-invalid", 401),
    ("scope-insufficient", 403),
    ("field-not-allowed", 403),
    ("not-found", 404),
    ("upload-not-found", 404),
    ("method-not-allowed", 405),
    ("request-timeout", 408),
    ("unsupported-media-type", 415),
    ("object-missing", 409),
    ("wrong-status", 409),
    ("upload-expired", 410),
    ("payload-too-large", 413),
    ("unknown-field", 422),
    ("size-not-allowed", 422),
    ("media-type-not-allowed", 422),
    ("checksum-required", 422),
    ("object-mismatch", 422),
    ("request-in-progress", 409),
    ("idempotency-key-reused", 422),
    ("quota-exceeded", 429),
    ("internal", 500),
    ("store-unavailable", 503),
    ("database-unavailable", 503),
    ("stopping", 503),
];

#[test]
fn every_code_of_the_contract_has_its_status() {
    for (name, status) in CONTRACT {
        let code = Code::parse(name).unwrap_or_else(|| panic!("{name} has no row"));
        assert_eq!(code.row().status, status, "{name}");
    }
    for row in CODES {
        assert_eq!(
            row.code.row().name,
            row.name,
            "the table has the order of the codes"
        );
        assert!(
            !row.title.is_empty() && row.remedy.ends_with('.'),
            "{}",
            row.name
        );
    }
}

fn field_errors() -> Vec<FieldError> {
    vec![
        FieldError::new("/content_type", "must be image/jpeg"),
        FieldError::new("", "the object carries content-encoding"),
    ]
}

fn refused(kind: RefusalKind) -> BrokerError {
    BrokerError::Refused(Refusal {
        kind,
        errors: field_errors(),
    })
}

#[test]
fn every_broker_error_becomes_its_problem() {
    let field = FieldName::parse("Product.image").unwrap();
    let cases = [
        (BrokerError::UploadNotFound, "upload-not-found"),
        (
            BrokerError::ScopeInsufficient { needed: "ops" },
            "scope-insufficient",
        ),
        (BrokerError::FieldNotAllowed(field), "field-not-allowed"),
        (refused(RefusalKind::Invalid), "invalid-request"),
        (refused(RefusalKind::UnknownField), "unknown-field"),
        (
            refused(RefusalKind::MediaTypeNotAllowed),
            "media-type-not-allowed",
        ),
        (refused(RefusalKind::SizeNotAllowed), "size-not-allowed"),
        (refused(RefusalKind::ChecksumRequired), "checksum-required"),
        (
            BrokerError::WrongStatus {
                now: Status::Deleted,
                detail: "only a pending upload",
            },
            "wrong-status",
        ),
        (
            BrokerError::GrantUsedUp {
                retry_after_secs: 7,
            },
            "quota-exceeded",
        ),
        (BrokerError::GrantOver, "token-invalid"),
        (BrokerError::IdempotencyKeyReused, "idempotency-key-reused"),
        (BrokerError::RequestInProgress, "request-in-progress"),
        (BrokerError::ObjectMissing, "object-missing"),
        (
            BrokerError::ObjectMismatch(field_errors()),
            "object-mismatch",
        ),
        (BrokerError::UploadExpired, "upload-expired"),
        (
            BrokerError::StoreUnavailable {
                retry_after_secs: 7,
                cause: "copy-object: timeout".to_owned(),
            },
            "store-unavailable",
        ),
        (
            BrokerError::DatabaseUnavailable {
                retry_after_secs: 0,
                cause: "busy",
            },
            "database-unavailable",
        ),
        (BrokerError::Internal("canary-cause".into()), "internal"),
    ];
    for (error, code) in cases {
        check(&Problem::from(error), code);
    }
}

fn check(problem: &Problem, code: &str) {
    assert_eq!(problem.code().row().name, code);
    let document = problem.document("https://b", "urn:request:1");
    assert!(
        document["detail"]
            .as_str()
            .is_some_and(|text| text.len() > 10),
        "{document}"
    );
    assert!(!document.to_string().contains("canary"), "{document}");
    assert_eq!(
        document["errors"].is_array(),
        document["detail"]
            .as_str()
            .unwrap()
            .contains("content_type: must")
    );
    assert_eq!(document["status_now"] == "deleted", code == "wrong-status");
    let mut headers = actix_web::http::header::HeaderMap::new();
    problem.add_headers(&mut headers);
    let may_retry = [409, 429, 503].contains(&problem.code().row().status);
    let has_retry_after = may_retry && !["object-missing", "wrong-status"].contains(&code);
    assert_eq!(
        headers.contains_key("retry-after"),
        has_retry_after,
        "{code}"
    );
    assert!(
        headers.get("retry-after").is_none_or(|secs| secs != "0"),
        "Retry-After must not be 0"
    );
}

#[test]
fn every_auth_error_becomes_its_problem() {
    for (error, code) in [
        (AuthError::Missing, "token-missing"),
        (
            AuthError::Invalid {
                reason: "the \"kid\" is unknown",
            },
            "token-invalid",
        ),
        (AuthError::KeysUnavailable, "issuer-unavailable"),
    ] {
        let problem = Problem::from(error);
        assert_eq!(problem.code().row().name, code);
        let mut headers = actix_web::http::header::HeaderMap::new();
        problem.add_headers(&mut headers);
        if code == "token-invalid" {
            let challenge = headers.get("www-authenticate").unwrap().to_str().unwrap();
            assert_eq!(
                challenge,
                "Bearer realm=\"bytepass\", error=\"invalid_token\", error_description=\"the 'kid' is unknown\""
            );
        }
    }
}

#[test]
fn document_members_have_the_order_of_the_contract() {
    let problem = Problem::of_field_errors(Code::WrongStatus, field_errors())
        .with_status_now(Status::Deleted);
    let text = problem.text("https://b", "urn:request:1");
    let names = [
        "type",
        "title",
        "status",
        "code",
        "detail",
        "instance",
        "errors",
        "status_now",
    ];
    let places: Vec<_> = names
        .iter()
        .map(|name| {
            text.find(&format!("\"{name}\":"))
                .unwrap_or_else(|| panic!("{name}: {text}"))
        })
        .collect();
    assert!(places.is_sorted(), "{text}");
    assert!(
        text.contains(r#"{"pointer":"/content_type","detail":"must"#),
        "{text}"
    );
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value, problem.document("https://b", "urn:request:1"));
}
