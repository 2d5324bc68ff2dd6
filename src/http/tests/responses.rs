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

type Case = (&'static str, Ask, &'static str);

async fn assert_problems(cases: Vec<Case>) {
    for (what, request, code) in cases {
        let answer = send(request).await;
        let body = String::from_utf8_lossy(&answer.body);
        assert_eq!(
            answer.problem().as_deref(),
            Some(code),
            "{what}: {} {body}",
            answer.status
        );
    }
}

fn typed(content_type: &'static str) -> Ask {
    create()
        .insert_header(("content-type", content_type))
        .set_payload("hello")
}

#[actix_web::test]
async fn every_body_error_is_a_problem() {
    let bare = create().set_payload("hello");
    let zipped = json(create(), "{}").insert_header(("content-encoding", "gzip"));
    let (over, far_over) = (vec![b' '; 16 * 1024 + 1], vec![b' '; 2 * 1024 * 1024]);
    let confirm = Ask::post().uri(&format!("/v1/uploads/{}/confirm", examples::ID));
    let members = json(with_token(confirm), "{\"key\":\"a\"}");
    let form = "application/x-www-form-urlencoded";
    let latin = "application/json; charset=latin1";
    assert_problems(vec![
        ("no body", create(), "invalid-request"),
        ("no content type", bare, "unsupported-media-type"),
        ("text", typed("text/plain"), "unsupported-media-type"),
        ("a form", typed(form), "unsupported-media-type"),
        ("latin 1", typed(latin), "unsupported-media-type"),
        ("gzip", zipped, "unsupported-media-type"),
        ("bad JSON", json(create(), "{"), "invalid-request"),
        ("not an object", json(create(), "[]"), "invalid-request"),
        ("over the limit", json(create(), over), "payload-too-large"),
        (
            "far over the limit",
            json(create(), far_over),
            "payload-too-large",
        ),
        ("unexpected members", members, "invalid-request"),
    ])
    .await;
}

#[actix_web::test]
async fn every_error_of_an_address_is_a_problem() {
    let get = |uri: &str| with_token(Ask::get().uri(uri));
    let brew = Ask::with_uri("/livez").method("BREW".parse().unwrap());
    let not_utf8 = Ask::get().uri("/%ff%fe");
    assert_problems(vec![
        ("an unknown path", get("/v1/upload"), "not-found"),
        ("a path that is not UTF-8", not_utf8, "not-found"),
        (
            "another method",
            Ask::put().uri("/livez"),
            "method-not-allowed",
        ),
        ("an unknown method", brew, "method-not-allowed"),
        (
            "a bad query",
            get("/v1/uploads?limit=many"),
            "invalid-request",
        ),
        ("an unknown name", get("/v1/uploads?a=b"), "invalid-request"),
    ])
    .await;
}

#[actix_web::test]
async fn every_caller_and_server_error_is_a_problem() {
    let ask = || Ask::get().uri("/v1/uploads/upl_1");
    let says = |text: &'static str| ask().insert_header(("authorization", text));
    let twice = with_token(ask()).append_header(("authorization", "Bearer x"));
    let bad_body = json(Ask::post().uri("/v1/uploads"), "{");
    let forgot = with_token(Ask::get().uri("/unauthenticated"));
    assert_problems(vec![
        ("no token, malformed id", ask(), "token-missing"),
        ("no token, bad body", bad_body, "token-missing"),
        ("an empty token", says("Bearer "), "token-missing"),
        ("a bad token", says("Bearer a.b.c"), "token-invalid"),
        ("another scheme", says("Basic dTpw"), "token-invalid"),
        ("two tokens", twice, "token-invalid"),
        ("a panic", Ask::get().uri("/panics"), "internal"),
        ("a route without authentication", forgot, "internal"),
    ])
    .await;
}

#[actix_web::test]
async fn wrong_method_has_allow_header_and_missing_token_has_challenge() {
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
async fn empty_body_and_empty_object_are_accepted_as_no_body() {
    let path = format!("/v1/uploads/{}/confirm", examples::ID);
    for request in [
        with_token(Ask::post().uri(&path)),
        json(with_token(Ask::post().uri(&path)), "{}"),
        json(with_token(Ask::post().uri(&path)), " { \n} "),
    ] {
        // A valid request reaches the missing broker.
        assert_eq!(send(request).await.problem().as_deref(), Some("internal"));
    }
}

#[actix_web::test]
async fn every_response_has_security_headers_and_a_unique_id() {
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
async fn host_header_never_appears_in_a_response() {
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
async fn head_has_the_status_of_get() {
    let head = |uri| Ask::with_uri(uri).method(actix_web::http::Method::HEAD);
    assert_eq!(send(head("/livez")).await.status, 200);
    assert_eq!(send(head("/v1/stats")).await.status, 401);
}
