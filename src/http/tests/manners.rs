use actix_web::test::TestRequest as Ask;

use super::*;
use crate::http::examples;

fn create() -> Ask {
    with_token(Ask::post().uri("/v1/uploads"))
}

fn json(request: Ask, body: impl Into<Vec<u8>>) -> Ask {
    request
        .insert_header(("content-type", "application/json"))
        .set_payload(body.into())
}

#[actix_web::test]
async fn every_error_of_the_framework_is_a_problem() {
    let id = format!("/v1/uploads/{}", examples::ID);
    let confirm = format!("{id}/confirm");
    let text = |request: Ask| request.set_payload("hello");
    let cases: Vec<(&str, Ask, &str)> = vec![
        ("an unknown path", Ask::get().uri("/v1/upload"), "not-found"),
        (
            "a path that is not UTF-8",
            Ask::get().uri("/%ff%fe"),
            "not-found",
        ),
        (
            "an unknown method",
            Ask::put().uri("/v1/uploads"),
            "method-not-allowed",
        ),
        (
            "a method that nobody has",
            Ask::with_uri("/livez").method("BREW".parse().unwrap()),
            "method-not-allowed",
        ),
        ("no body", create(), "invalid-request"),
        ("no content type", text(create()), "unsupported-media-type"),
        (
            "text",
            text(create().insert_header(("content-type", "text/plain"))),
            "unsupported-media-type",
        ),
        (
            "a form",
            text(create().insert_header(("content-type", "application/x-www-form-urlencoded"))),
            "unsupported-media-type",
        ),
        (
            "latin 1",
            text(create().insert_header(("content-type", "application/json; charset=latin1"))),
            "unsupported-media-type",
        ),
        (
            "gzip",
            json(create(), "{}").insert_header(("content-encoding", "gzip")),
            "unsupported-media-type",
        ),
        ("bad JSON", json(create(), "{"), "invalid-request"),
        (
            "JSON that is no object",
            json(create(), "[]"),
            "invalid-request",
        ),
        (
            "too much",
            json(create(), vec![b' '; 16 * 1024 + 1]),
            "payload-too-large",
        ),
        (
            "far too much",
            json(create(), vec![b' '; 2 * 1024 * 1024]),
            "payload-too-large",
        ),
        (
            "a bad query",
            with_token(Ask::get().uri("/v1/uploads?limit=many")),
            "invalid-request",
        ),
        (
            "an unknown parameter",
            with_token(Ask::get().uri("/v1/uploads?color=red")),
            "invalid-request",
        ),
        (
            "members where there are none",
            json(with_token(Ask::post().uri(&confirm)), "{\"key\":\"a\"}"),
            "invalid-request",
        ),
        (
            "a malformed id",
            with_token(Ask::get().uri("/v1/uploads/upl_1")),
            "upload-not-found",
        ),
        (
            "an id in capitals",
            with_token(Ask::delete().uri(&id.to_uppercase().replace("/V1/UPLOADS", "/v1/uploads"))),
            "upload-not-found",
        ),
        (
            "an id with a slash in it",
            with_token(Ask::get().uri("/v1/uploads/..%2f..%2fetc")),
            "upload-not-found",
        ),
        (
            "an id with a NUL",
            with_token(Ask::get().uri("/v1/uploads/%00")),
            "upload-not-found",
        ),
        ("no token", Ask::get().uri(&id), "token-missing"),
        (
            "an empty token",
            Ask::get()
                .uri(&id)
                .insert_header(("authorization", "Bearer ")),
            "token-missing",
        ),
        (
            "no token and a malformed id",
            Ask::get().uri("/v1/uploads/x"),
            "token-missing",
        ),
        (
            "no token and a bad body",
            json(Ask::post().uri("/v1/uploads"), "{"),
            "token-missing",
        ),
        (
            "a bad token",
            Ask::get()
                .uri(&id)
                .insert_header(("authorization", "Bearer a.b.c")),
            "token-invalid",
        ),
        (
            "another scheme",
            Ask::get()
                .uri(&id)
                .insert_header(("authorization", "Basic dTpw")),
            "token-invalid",
        ),
        (
            "two tokens",
            with_token(with_token(Ask::get().uri(&id)))
                .append_header(("authorization", "Bearer x")),
            "token-invalid",
        ),
        ("a panic", Ask::get().uri("/panics"), "internal"),
        (
            "a forgotten check",
            with_token(Ask::get().uri("/forgot")),
            "internal",
        ),
    ];
    for (what, request, code) in cases {
        let answer = send(request).await;
        assert_eq!(
            answer.problem().as_deref(),
            Some(code),
            "{what}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    }
}

#[actix_web::test]
async fn a_wrong_method_names_the_right_ones_and_a_missing_token_its_scheme() {
    let answer = send(Ask::patch().uri("/v1/uploads")).await;
    assert_eq!(answer.header("allow"), Some("GET, HEAD, POST"));

    let answer = send(Ask::get().uri("/v1/stats")).await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Bearer realm=\"bytepass\"")
    );
    let bad = Ask::get()
        .uri("/v1/stats")
        .insert_header(("authorization", "bearer x"));
    let answer = send(bad).await;
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
}

#[actix_web::test]
async fn an_empty_body_and_an_empty_object_are_both_no_body() {
    let path = format!("/v1/uploads/{}/confirm", examples::ID);
    for request in [
        with_token(Ask::post().uri(&path)),
        json(with_token(Ask::post().uri(&path)), "{}"),
        json(with_token(Ask::post().uri(&path)), " { \n} "),
    ] {
        // Nothing is wrong with these, so they get as far as the broker, which isn't there.
        assert_eq!(send(request).await.problem().as_deref(), Some("internal"));
    }
}

#[actix_web::test]
async fn every_answer_carries_the_security_headers_and_an_id_of_its_own() {
    let mut ids = std::collections::HashSet::new();
    for path in [
        "/livez",
        "/nowhere",
        "/v1/uploads",
        "/openapi.json",
        "/docs",
        "/problems",
        "/docs/style.css",
        "/panics",
    ] {
        let answer = send(Ask::get().uri(path).insert_header(("x-request-id", "mine"))).await;
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(
            answer.header("referrer-policy"),
            Some("no-referrer"),
            "{path}"
        );
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert!(
            ids.insert(answer.header("x-request-id").unwrap().to_owned()),
            "{path}"
        );
        let cache = answer.header("cache-control").unwrap();
        let page = path.starts_with("/docs") || path == "/problems";
        assert_eq!(cache, if page { "no-cache" } else { "no-store" }, "{path}");
    }
    assert!(!ids.contains("mine"));
}

#[actix_web::test]
async fn b13_links_come_from_the_configuration_never_from_the_host_header() {
    let poisoned = Ask::get()
        .uri("/nowhere")
        .insert_header(("host", "evil.example"))
        .insert_header(("x-forwarded-host", "evil.example"))
        .insert_header(("forwarded", "host=evil.example;proto=http"));
    let answer = send(poisoned).await;
    assert!(!String::from_utf8_lossy(&answer.body).contains("evil"));
    assert_eq!(answer.problem().as_deref(), Some("not-found"));
}

#[actix_web::test]
async fn a_head_is_answered_like_its_get() {
    let head = |uri| Ask::with_uri(uri).method(actix_web::http::Method::HEAD);
    assert_eq!(send(head("/livez")).await.status, 200);
    assert_eq!(send(head("/v1/stats")).await.status, 401);
}
