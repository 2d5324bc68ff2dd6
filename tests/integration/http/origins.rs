//! Cross-origin rules, and `Host` and forwarding headers that lie about our address.

use reqwest::Method;
use serde_json::json;

use crate::support::api::{Answer, Api, send};
use crate::support::broker_process::free_address;
use crate::support::statuses::BYTES;
use crate::support::test_env::{Broker, TestEnv, sign_user, user_token};

const SHOP: &str = "https://shop.example";

const STRANGERS: [&str; 40] = [
    "null",
    "*",
    "https://evil.example",
    "http://shop.example",
    "https://shop.example:443",
    "https://shop.example:8443",
    "https://shop.example/",
    "https://shop.example.evil.example",
    "https://evilshop.example",
    "https://evil-shop.example",
    "https://www.shop.example",
    "https://shop.exampl",
    "https://shop.examplee",
    "https://shop.example@evil.example",
    "https://user@shop.example",
    "HTTPS://shop.example",
    "https://SHOP.example",
    "https://shop_example",
    "https://shopXexample",
    "https://shop.example%00",
    "https://shop.example%00.evil.example",
    "https://shop.example#",
    "https://shop.example?",
    "https://shop.example\\.evil.example",
    "https://shop.example;evil",
    "https://shop.example, https://evil.example",
    "https://evil.example, https://shop.example",
    "https://shop.example https://evil.example",
    "//shop.example",
    "shop.example",
    "file://",
    "data:text/html,x",
    "chrome-extension://abc",
    "moz-extension://abc",
    "https://localhost",
    "http://127.0.0.1:3000",
    "https://[::1]",
    "https://shop.example.",
    "ws://shop.example",
    "https:/shop.example",
];

async fn preflight(broker: &Broker, origin: &str, path: &str) -> Answer {
    let request = broker.anonymous().request(Method::OPTIONS, path);
    let request = request
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type",
        );
    send(request).await
}

#[tokio::test]
async fn only_the_exact_origin_is_allowed_and_never_with_credentials() {
    let test_env = TestEnv::new().await;
    let broker = test_env
        .broker_with(json!({"cors": {"allowed_origins": [SHOP]}}))
        .await;
    let paths = [
        "/v1/uploads",
        "/v1/uploads/upl_01knavb5w8e59a3fjc8w6qgp7z",
        "/livez",
        "/nowhere",
    ];
    for origin in STRANGERS.into_iter().chain([SHOP]) {
        for path in paths {
            let simple = broker.user().request(Method::GET, path);
            let simple = send(simple.header("origin", origin)).await;
            let asked = preflight(&broker, origin, path).await;
            for (kind, answer) in [("simple", simple), ("preflight", asked)] {
                let what = format!("{kind} {path} from {origin}: {answer:?}");
                let allowed = answer.header("access-control-allow-origin");
                let expected = if origin == SHOP { SHOP } else { "" };
                assert_eq!(allowed, expected, "{what}");
                assert_eq!(
                    answer.header("access-control-allow-credentials"),
                    "",
                    "{what}"
                );
                let vary = answer.header("vary").to_lowercase();
                assert!(vary.contains("origin"), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn browser_on_an_allowed_origin_can_upload_and_confirm() {
    let test_env = TestEnv::new().await;
    let broker = test_env
        .broker_with(json!({"cors": {"allowed_origins": [SHOP]}}))
        .await;
    let asked = preflight(&broker, SHOP, "/v1/uploads").await.expect(200);
    let headers = asked.header("access-control-allow-headers").to_lowercase();
    assert!(headers.contains("authorization") && headers.contains("content-type"));
    let body = json!({"field": "Product.image", "filename": "a", "content_type": "image/jpeg", "size": BYTES.len()});
    let request = broker.user().request(Method::POST, "/v1/uploads");
    let created = send(request.header("origin", SHOP).json(&body))
        .await
        .expect(201);
    assert_eq!(created.header("access-control-allow-origin"), SHOP);
    let exposed = created
        .header("access-control-expose-headers")
        .to_lowercase();
    assert!(exposed.contains("location"), "{exposed}");
    let wrong = broker.user().request(Method::POST, "/v1/uploads");
    let wrong = send(wrong.header("origin", SHOP).json(&json!({}))).await;
    let wrong = wrong.expect_problem(400, "invalid-request");
    assert_eq!(
        wrong.header("access-control-allow-origin"),
        SHOP,
        "a page can read why"
    );
}

/// Header lines that claim another host, or another target of the request.
const LIES: [(&str, &str); 30] = [
    ("host", "evil.example"),
    ("host", "evil.example:8000"),
    ("host", "127.0.0.1@evil.example"),
    ("host", "evil.example/x?"),
    ("host", "EVIL.EXAMPLE"),
    ("host", "xn--evil.example"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-host", "evil.example, a"),
    ("x-forwarded-server", "evil.example"),
    ("x-forwarded-proto", "evil.example"),
    ("x-forwarded-scheme", "evil.example"),
    ("x-forwarded-port", "66.evil.example"),
    ("x-forwarded-prefix", "//evil.example"),
    ("x-forwarded-for", "evil.example"),
    ("x-forwarded-uri", "http://evil.example/"),
    ("x-host", "evil.example"),
    ("x-http-host-override", "evil.example"),
    ("x-original-host", "evil.example"),
    ("x-original-url", "http://evil.example/v1/stats"),
    ("x-rewrite-url", "http://evil.example/v1/stats"),
    ("x-real-ip", "evil.example"),
    ("x-proxyuser-ip", "evil.example"),
    ("x-script-name", "//evil.example"),
    ("x-base-url", "http://evil.example"),
    ("forwarded", "host=evil.example;proto=https"),
    ("forwarded", "for=a;host=\"evil.example:80\""),
    ("via", "1.1 evil.example"),
    ("referer", "http://evil.example/"),
    ("origin", "http://evil.example"),
    ("cf-visitor", "{\"scheme\":\"evil.example\"}"),
];

#[tokio::test]
async fn request_headers_never_appear_in_links_addresses_or_redirects() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let confirmed = user.upload("Product.image", BYTES, "image/jpeg").await;
    user.create("Product.image", BYTES, "image/jpeg")
        .await
        .expect(201);
    let upload = format!("/v1/uploads/{}", confirmed.id());
    let download = format!("{upload}/download");
    let body =
        json!({"field": "Product.image", "filename": "a", "content_type": "image/jpeg", "size": 5});
    for (name, value) in LIES {
        let post = user.request(Method::POST, "/v1/uploads").json(&body);
        let mut requests = vec![(201, post)];
        let gets = [
            (200, "/v1/uploads?limit=1"),
            (200, upload.as_str()),
            (200, &download),
            (404, "/nowhere"),
            (200, "/openapi.json"),
            (200, "/docs"),
            (200, "/problems"),
            (403, "/v1/stats"),
            (404, "//evil.example/"),
            (404, "/docs/"),
        ];
        requests.extend(gets.map(|(status, path)| (status, user.request(Method::GET, path))));
        for (status, request) in requests {
            let answer = send(request.header(name, value)).await;
            let shown = format!("{:?} {}", answer.headers, answer.text).to_lowercase();
            assert!(!shown.contains("evil"), "{name}: {value}: {shown}");
            // An invalid Host may be refused.
            assert!(
                answer.status == status || answer.status == 400,
                "{name}: {value}: {shown}"
            );
        }
    }
    let listed = user.get("/v1/uploads?limit=1").await.expect(200);
    let link = format!("<{}/v1/uploads?", broker.url);
    assert!(listed.header("link").starts_with(&link), "{listed:?}");
}

#[tokio::test]
async fn configured_public_url_is_in_every_link_for_any_request_host() {
    let test_env = TestEnv::new().await;
    let (listen, base) = (free_address().to_string(), "https://uploads.example/base");
    let change = json!({"server": {"listen": listen, "public_url": base}});
    let _broker = test_env.broker_with(change).await;
    let user = Api::new(&format!("http://{listen}"), &sign_user(&user_token("1")));
    let created = user
        .create("Product.image", BYTES, "image/jpeg")
        .await
        .expect(201);
    user.create("Product.image", BYTES, "image/jpeg")
        .await
        .expect(201);
    let upload = format!("{base}/v1/uploads/{}", created.id());
    assert_eq!(created.header("location"), upload);
    assert_eq!(created.json["confirm_url"], format!("{upload}/confirm"));
    let listed = user.get("/v1/uploads?limit=1").await.expect(200);
    assert!(
        listed
            .header("link")
            .starts_with(&format!("<{base}/v1/uploads?"))
    );
    let problem = user.get("/nowhere").await.expect_problem(404, "not-found");
    assert_eq!(problem.json["type"], format!("{base}/problems#not-found"));
    let document = user.get("/openapi.json").await.expect(200);
    assert_eq!(document.json["servers"][0]["url"], base);
}
