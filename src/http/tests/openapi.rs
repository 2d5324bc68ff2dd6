use actix_web::test::TestRequest as Ask;
use serde_json::Value;

use super::*;
use crate::http::pages::Pages;
use crate::http::problem::codes::CODES;
use crate::http::{examples, openapi};

fn document() -> Value {
    serde_json::to_value(openapi()).unwrap()
}

/// Method, path and description of every operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, spec) in item.as_object().unwrap() {
            all.push((method.to_uppercase(), path.clone(), spec.clone()));
        }
    }
    all
}

#[test]
fn every_operation_has_security_and_examples_for_every_response() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let all = operations(&document);
    assert_eq!(all.len(), 22);
    for (method, path, spec) in all {
        let what = format!("{method} {path}");
        assert!(
            spec["operationId"].is_string() && spec["summary"].is_string(),
            "{what}"
        );
        let needs = spec["security"]
            .as_array()
            .unwrap_or_else(|| panic!("{what} has no security"));
        let open = serde_json::json!({});
        let private = needs.iter().all(|need| *need != open);
        let by_token = needs.iter().all(|need| need["bearer"][0].is_string());
        assert_eq!(by_token, private && path != "/v1/events/s3", "{what}");
        assert_eq!(private, path.starts_with("/v1/"), "{what}");
        let responses = spec["responses"].as_object().unwrap();
        assert!(responses.contains_key("500"), "{what}");
        assert_eq!(responses.contains_key("401"), private, "{what}");
        for (status, response) in responses {
            let problem = &response["content"]["application/problem+json"];
            let plain = &response["content"]["application/json"];
            match status.as_str() {
                "204" => assert!(response["content"].is_null()),
                "200" | "201" => assert!(
                    !plain["example"].is_null() && !plain["schema"].is_null(),
                    "{what} {status}"
                ),
                _ => {
                    assert_eq!(problem["schema"]["$ref"], "#/components/schemas/Problem");
                    let examples = problem["examples"].as_object().unwrap();
                    assert!(!examples.is_empty(), "{what} {status}");
                    for (name, example) in examples {
                        assert_eq!(example["value"]["code"], *name);
                        assert_eq!(
                            example["value"]["status"].to_string(),
                            *status,
                            "{what} {name}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn every_reference_of_the_document_resolves() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member.as_str() {
                        Some(target) if name == "$ref" => found.push(target.to_owned()),
                        _ => references(member, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let (document, mut found) = (document(), Vec::new());
    references(&document, &mut found);
    assert!(found.len() > 20);
    for target in found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some(),
            "{target} leads nowhere"
        );
    }
}

#[actix_web::test]
async fn every_operation_is_routed_and_requires_a_token() {
    for (method, path, _) in operations(&document()) {
        let uri = path.replace("{id}", examples::ID);
        let request = Ask::with_uri(&uri).method(method.parse().unwrap());
        let code = send(request).await.problem();
        let expected = match path.as_str() {
            "/livez" | "/.well-known/jwks.json" => None,
            "/readyz" => Some("internal"),
            _ => Some("token-missing"),
        };
        assert_eq!(code.as_deref(), expected, "{method} {path}");
    }
}

#[test]
fn create_request_has_no_member_for_a_key() {
    let schemas = &document()["components"]["schemas"];
    let members: Vec<&str> = schemas["CreateUpload"]["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut expected = [
        "field",
        "filename",
        "content_type",
        "size",
        "checksum",
        "object_id",
        "owner",
    ];
    expected.sort_unstable();
    let mut members = members;
    members.sort_unstable();
    assert_eq!(members, expected);
}

#[actix_web::test]
async fn problem_page_has_an_anchor_for_every_code() {
    let answer = send(Ask::get().uri("/problems")).await;
    let page = String::from_utf8(answer.body.clone()).unwrap();
    for row in CODES {
        assert!(
            page.contains(&format!("id=\"{}\"", row.name)),
            "{}",
            row.name
        );
    }
}

#[actix_web::test]
async fn pages_have_no_script_no_inline_style_and_no_external_link() {
    for path in ["/docs", "/problems"] {
        let answer = send(Ask::get().uri(path)).await;
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        let page = String::from_utf8(answer.body.clone()).unwrap();
        for forbidden in [
            "<script",
            " style=",
            "<style",
            " onclick",
            "javascript:",
            "src=\"http",
            "href=\"http",
        ] {
            assert!(!page.contains(forbidden), "{path} holds {forbidden}");
        }
    }
    for path in ["/docs/style.css", "/docs/icon.svg"] {
        let answer = send(Ask::get().uri(path)).await;
        assert_eq!(answer.status, 200);
        assert!(!String::from_utf8_lossy(&answer.body).contains("url("));
    }
}

#[test]
fn pages_escape_their_content() {
    let mut document = openapi();
    let attack = "<img src=x onerror=alert(1)>`<b>`\"'";
    document.info.title = attack.to_owned();
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            operation.summary = Some(attack.to_owned());
            operation.description = Some(attack.to_owned());
        }
    }
    let pages = Pages::new(&document, "https://b\"><script>alert(1)</script>");
    let page = String::from_utf8(pages.docs_html().to_vec()).unwrap();
    assert!(!page.contains("<img src=x") && !page.contains("<b>") && !page.contains("<script"));
    assert!(page.contains("&lt;img src=x"));
}
