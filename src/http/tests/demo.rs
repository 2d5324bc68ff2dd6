use std::sync::Arc;

use actix_web::test::TestRequest as Ask;

use super::*;
use crate::domain::field::{Cardinality, FieldName, FieldPolicy, Visibility};
use crate::domain::media_type::MediaType;
use crate::http::DemoOptions;

const OWN: &str = "127.0.0.1:8000";

/// Parts of a broker with a demo whose token is no secret.
fn parts_with_demo() -> Parts {
    let field = FieldPolicy {
        name: FieldName::parse("Product.image").unwrap(),
        upload_to: "products/".into(),
        content_types: vec![MediaType::parse("image/png").unwrap()],
        min_size: 1,
        max_size: 1024,
        visibility: Visibility::Public,
        cardinality: Cardinality::One,
        removal_grace_secs: 0,
        unattached_lifetime_secs: None,
        required_checksums: Vec::new(),
        url_lifetime_secs: 900,
        upload_lifetime_secs: 3600,
    };
    let demo = DemoOptions {
        bucket_origin: "http://127.0.0.1:9000".into(),
        field: Arc::new(field),
        mint: Arc::new(|lifetime_secs| format!("for {lifetime_secs} s").into()),
    };
    assert!(!format!("{demo:?}").contains("for "));
    let options = HttpOptions {
        demo: Some(demo),
        ..options()
    };
    parts(&options, &Metrics::new())
}

async fn ask_for_token(headers: &[(&str, &str)]) -> Answer {
    let mut request = Ask::post().uri("/demo/token");
    for header in headers {
        request = request.append_header(*header);
    }
    send_to(&parts_with_demo(), request).await
}

#[actix_web::test]
async fn without_a_demo_its_addresses_are_as_unknown_as_any_other() {
    for path in ["/demo", "/demo/seen", "/demo/demo.js", "/demo/token"] {
        for ask in [Ask::get(), Ask::post()] {
            let answer = send(ask.uri(path)).await;
            assert_eq!(answer.problem().as_deref(), Some("not-found"), "{path}");
        }
    }
}

#[actix_web::test]
async fn b14_the_demos_policy_lets_in_its_own_files_and_its_bucket_and_nothing_inline() {
    let answer = send_to(&parts_with_demo(), Ask::get().uri("/demo")).await;
    assert_eq!(answer.status, 200);
    let policy = answer.header("content-security-policy").unwrap();
    let expected = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self' http://127.0.0.1:9000; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    assert_eq!(policy, expected);
    let page = String::from_utf8(answer.body).unwrap();
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.contains("<script type=\"module\" src=\"demo/demo.js\"></script>"));
    for inline in [" style=", "<style", " onclick", "javascript:", "//"] {
        assert!(!page.contains(inline), "{inline}");
    }
}

#[actix_web::test]
async fn b14_only_the_demos_own_page_on_this_machine_is_given_a_token() {
    for host in [OWN, "localhost:8000", "[::1]:8000", "127.0.0.1:31999"] {
        let origin = format!("http://{host}");
        let answer = ask_for_token(&[("host", host), ("origin", &origin)]).await;
        assert_eq!(answer.status, 200, "{host}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.json()["token"], "for 600 s");
    }
    let own = ("origin", "http://127.0.0.1:8000");
    let strangers: [&[(&str, &str)]; 12] = [
        &[],
        &[("host", OWN)],
        &[own],
        // Another site, another page of this machine, a page without an origin.
        &[("host", OWN), ("origin", "https://evil.example")],
        &[("host", OWN), ("origin", "http://127.0.0.1:3000")],
        &[("host", OWN), ("origin", "http://localhost:8000")],
        &[("host", OWN), ("origin", "https://127.0.0.1:8000")],
        &[("host", OWN), ("origin", "null")],
        &[("host", OWN), own, ("origin", "https://evil.example")],
        // A name that was pointed here (DNS rebinding).
        &[
            ("host", "evil.example:8000"),
            ("origin", "http://evil.example:8000"),
        ],
        &[
            ("host", "127.0.0.1.evil.example:8000"),
            ("origin", "http://127.0.0.1.evil.example:8000"),
        ],
        // An origin that an operator lets use the API is not the demo's page.
        &[("host", OWN), ("origin", "https://shop.example")],
    ];
    for headers in strangers {
        let answer = ask_for_token(headers).await;
        assert_eq!(
            answer.problem().as_deref(),
            Some("invalid-request"),
            "{headers:?}"
        );
        assert!(!String::from_utf8_lossy(&answer.body).contains("for 600 s"));
    }
    let asked = send_to(&parts_with_demo(), Ask::get().uri("/demo/token")).await;
    assert_eq!(asked.problem().as_deref(), Some("method-not-allowed"));
}

#[actix_web::test]
async fn body_bytes_of_refused_requests_are_counted() {
    let parts = parts_with_demo();
    let seen = async || {
        let answer = send_to(&parts, Ask::get().uri("/demo/seen")).await;
        answer.json()["body_bytes"].as_u64().unwrap()
    };
    assert_eq!(seen().await, 0);
    let long = "x".repeat(20_000);
    for body in ["{}", "", &long] {
        let ask = with_token(Ask::post().uri("/strict"));
        let ask = ask.insert_header(("content-type", "application/json"));
        send_to(&parts, ask.set_payload(body.to_owned())).await;
    }
    assert_eq!(seen().await, 20_002);
}

#[actix_web::test]
async fn asset_with_a_known_etag_returns_304() {
    let parts = parts_with_demo();
    for path in ["/demo/demo.js", "/demo/demo.css", "/docs/style.css"] {
        let first = send_to(&parts, Ask::get().uri(path)).await;
        assert_eq!(
            (first.status, first.body.is_empty()),
            (200, false),
            "{path}"
        );
        let tag = first.header("etag").unwrap().to_owned();
        let again = |known: &str| {
            Ask::get()
                .uri(path)
                .insert_header(("if-none-match", known.to_owned()))
        };
        let known = send_to(&parts, again(&format!("\"other\", W/{tag}"))).await;
        assert_eq!((known.status, known.body.len()), (304, 0), "{path}");
        let changed = send_to(&parts, again("\"other\"")).await;
        assert_eq!(changed.body, first.body, "{path}");
    }
}
