use actix_web::http::Method;
use actix_web::test::TestRequest as Ask;

use super::*;

const OTHER_ORIGINS: [&str; 24] = [
    "null",
    "https://evil.example",
    "http://shop.example",
    "https://shop.example:443",
    "https://shop.example:8443",
    "https://shop.example/",
    "https://shop.example.evil.example",
    "https://evilshop.example",
    "https://www.shop.example",
    "https://shop.exampl",
    "https://shop.example@evil.example",
    "https://user@shop.example",
    "HTTPS://shop.example",
    "https://SHOP.example",
    "https://shop_example",
    "https://shopXexample",
    "http://localhost",
    "http://localhost:3001",
    "https://localhost:3000",
    "http://127.0.0.1:3000",
    "http://localhost:3000.evil.example",
    "file://",
    "*",
    "https://shop.example, https://evil.example",
];

fn preflight(origin: &str) -> Ask {
    Ask::with_uri("/v1/uploads")
        .method(Method::OPTIONS)
        .insert_header(("origin", origin))
        .insert_header(("access-control-request-method", "POST"))
        .insert_header((
            "access-control-request-headers",
            "authorization,content-type",
        ))
}

#[actix_web::test]
async fn only_listed_origins_are_allowed() {
    for origin in ["https://shop.example", "http://localhost:3000"] {
        let answer = send(preflight(origin)).await;
        assert_eq!(answer.status, 200, "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        let answer = send(Ask::get().uri("/livez").insert_header(("origin", origin))).await;
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    }
    for origin in OTHER_ORIGINS {
        let answers = [
            send(preflight(origin)).await,
            send(Ask::get().uri("/livez").insert_header(("origin", origin))).await,
            send(
                Ask::get()
                    .uri("/v1/stats")
                    .insert_header(("origin", origin)),
            )
            .await,
        ];
        for answer in answers {
            assert_eq!(
                answer.header("access-control-allow-origin"),
                None,
                "{origin}"
            );
        }
        assert_eq!(
            send(preflight(origin)).await.problem().as_deref(),
            Some("invalid-request"),
            "{origin}"
        );
    }
}

#[actix_web::test]
async fn responses_allow_no_credentials_and_vary_by_origin() {
    for origin in ["https://shop.example", "https://evil.example"] {
        for request in [
            preflight(origin),
            Ask::get().uri("/livez").insert_header(("origin", origin)),
            Ask::get().uri("/livez"),
        ] {
            let answer = send(request).await;
            assert_eq!(answer.header("access-control-allow-credentials"), None);
            let vary = answer.header("vary").unwrap_or_default().to_lowercase();
            assert!(vary.contains("origin"), "{origin}: {vary}");
        }
    }
}

#[actix_web::test]
async fn problems_are_readable_by_allowed_origins() {
    let from_shop = |request: Ask| request.insert_header(("origin", "https://shop.example"));
    for (request, code) in [
        (Ask::get().uri("/nowhere"), "not-found"),
        (Ask::get().uri("/v1/stats"), "token-missing"),
        (Ask::put().uri("/v1/stats"), "method-not-allowed"),
        (Ask::get().uri("/panics"), "internal"),
        (
            with_token(Ask::post().uri("/v1/uploads"))
                .insert_header(("content-type", "application/json"))
                .set_payload(vec![b' '; 20_000]),
            "payload-too-large",
        ),
    ] {
        let answer = send(from_shop(request)).await;
        assert_eq!(answer.problem().as_deref(), Some(code));
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("https://shop.example"),
            "{code}"
        );
        let exposed = answer
            .header("access-control-expose-headers")
            .unwrap_or_default()
            .to_lowercase();
        for name in ["location", "link", "retry-after", "x-request-id"] {
            assert!(exposed.contains(name), "{code}: {exposed}");
        }
    }
}

#[actix_web::test]
async fn preflight_allows_headers_and_methods_of_known_clients() {
    let answer = send(preflight("https://shop.example")).await;
    let headers = answer
        .header("access-control-allow-headers")
        .unwrap()
        .to_lowercase();
    for name in [
        "authorization",
        "content-type",
        "accept",
        "idempotency-key",
        "x-requested-with",
        "x-csrf-token",
        "uppy-versions",
        "traceparent",
    ] {
        assert!(headers.contains(name), "{name}: {headers}");
    }
    let methods = answer.header("access-control-allow-methods").unwrap();
    for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS"] {
        assert!(methods.contains(method), "{method}: {methods}");
    }
    let other = preflight("https://shop.example")
        .insert_header(("access-control-request-headers", "x-evil"));
    assert_eq!(
        send(other).await.problem().as_deref(),
        Some("invalid-request")
    );
}

#[actix_web::test]
async fn no_origin_is_allowed_without_configuration() {
    let options = HttpOptions {
        allowed_origins: Vec::new(),
        ..options()
    };
    let parts = parts(&options, &Metrics::new());
    for origin in ["https://shop.example", "null", "http://localhost:3000"] {
        let answer = send_to(&parts, preflight(origin)).await;
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let answer = send_to(
            &parts,
            Ask::get().uri("/livez").insert_header(("origin", origin)),
        )
        .await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (200, None)
        );
    }
}

#[actix_web::test]
async fn rejected_preflight_names_the_part_that_is_not_allowed() {
    let shop = "https://shop.example";
    for (request, part, configurable) in [
        (preflight("https://evil.example"), "origin", true),
        (
            preflight(shop).insert_header(("access-control-request-method", "PATCH")),
            "method",
            false,
        ),
        (
            preflight(shop).insert_header(("access-control-request-headers", "x-other")),
            "header",
            false,
        ),
    ] {
        let answer = send(request).await;
        assert_eq!(answer.status, 400, "{part}");
        let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let detail = document["detail"].as_str().unwrap();
        let words = ["origin", "method", "header"];
        let named: Vec<_> = words
            .into_iter()
            .filter(|word| detail.split("not allowed").next().unwrap().contains(word))
            .collect();
        assert_eq!(named, [part], "{detail}");
        assert_eq!(detail.contains("configuration"), configurable, "{detail}");
    }
}
