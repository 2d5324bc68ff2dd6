//! CORS: preflights, and the headers of answers and errors.

use super::running::{Running, running};

const ORIGIN: (&str, &str) = ("origin", "http://localhost:3000");

async fn preflight(bucket: &Running, method: &str, headers: &str) -> super::running::Answer {
    let asked = [
        ORIGIN,
        ("access-control-request-method", method),
        ("access-control-request-headers", headers),
    ];
    bucket.send("OPTIONS", "/media/k", &asked, b"").await
}

#[tokio::test]
async fn preflight_of_an_upload_is_allowed() {
    let bucket = running();
    let headers = "content-type, Content-MD5,if-none-match,x-amz-checksum-sha256,x-amz-meta-a";
    for method in ["GET", "PUT", "POST", "HEAD"] {
        let answer = preflight(&bucket, method, headers).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let allowed = answer.header("access-control-allow-headers").unwrap();
        assert!(allowed.contains("content-md5") && allowed.contains("x-amz-meta-a"));
        let methods = answer.header("access-control-allow-methods").unwrap();
        assert!(methods.split(", ").any(|allowed| allowed == method));
        assert!(answer.header("access-control-max-age").is_some());
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
}

#[tokio::test]
async fn preflight_of_other_methods_or_headers_is_refused() {
    let bucket = running();
    for (method, headers) in [
        ("DELETE", ""),
        ("PATCH", ""),
        ("put", ""),
        ("PUT", "authorization"),
        ("PUT", "content-type, cookie"),
    ] {
        let answer = preflight(&bucket, method, headers).await;
        assert_eq!(answer.status, 403, "{method} {headers}");
        assert_eq!(answer.header("access-control-allow-methods"), None);
    }
    let answer = bucket.send("OPTIONS", "/media/k", &[], b"").await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn answers_and_errors_can_be_read_by_the_page() {
    let bucket = running();
    let target = bucket.presign("PUT", "/media/k").target();
    let answer = bucket.send("PUT", &target, &[ORIGIN], b"x").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let exposed = answer.header("access-control-expose-headers").unwrap();
    for name in ["ETag", "Location", "x-amz-checksum-sha256"] {
        assert!(exposed.contains(name), "{name}");
    }
    // A refusal of a large body must arrive as a readable answer, not as a reset connection.
    let large = vec![0; 8 * 1024 * 1024];
    let answer = bucket.send("PUT", "/media/k", &[ORIGIN], &large).await;
    assert_eq!(answer.code(), "403 AccessDenied");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let target = bucket.presign("GET", "/media/k").target();
    let answer = bucket.send("GET", &target, &[], b"").await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
}
