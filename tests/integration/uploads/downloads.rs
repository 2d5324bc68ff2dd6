//! A private object is readable by a short-lived URL, with its declared file name and media type.

use bytepass::domain::file_name::FileName;
use percent_encoding::percent_decode_str;
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, http_client};
use crate::support::statuses::BYTES;
use crate::support::test_env::TestEnv;

/// A private field without a required checksum, for pictures and documents.
fn private_field() -> Value {
    json!({"fields": {"Note.file": {
        "upload_to": "notes/", "content_types": ["image/png", "application/pdf"], "max_size": 1000,
    }}})
}

/// Uploads a file of this name and requests its download URL.
async fn download_of(user: &Api, filename: &str, content_type: &str) -> Answer {
    let body = json!({
        "field": "Note.file", "filename": filename, "content_type": content_type, "size": BYTES.len(),
    });
    let created = user.post("/v1/uploads", &body).await.expect(201);
    user.put(&created, BYTES).await.expect(200);
    user.confirm(created.id()).await.expect(200);
    let path = format!("/v1/uploads/{}/download", created.id());
    user.get(&path).await.expect(200)
}

/// The file name that RFC 6266 clients read from the header, and the plain `filename` for older ones.
fn names_in(disposition: &str) -> (String, String) {
    let (_, rest) = disposition.split_once("; filename=\"").expect("a filename");
    let (plain, rest) = rest.split_once('"').expect("an end");
    let name = match rest.strip_prefix("; filename*=UTF-8''") {
        None => plain.to_owned(),
        Some(extended) => {
            let name = percent_decode_str(extended).decode_utf8();
            name.expect("UTF-8").into_owned()
        }
    };
    assert!(
        rest.is_empty() || rest.starts_with("; filename*=UTF-8''"),
        "{disposition}"
    );
    (name, plain.to_owned())
}

/// Names that try to end the header or leave the folder, or that must be escaped in a header.
fn odd_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "proof.png",
        "my proof (1).png",
        "a\r\nset-cookie: x=1\r\n\r\n<script>.png",
        "\"; filename=\"evil.exe",
        "a\\\"b.png",
        "..\\..\\windows\\system32",
        "../../etc/passwd",
        "a;b,c=d'e''f*.png",
        "100%25.png",
        "Kätzchen – 日本語 😀.png",
        "مرحبا \u{202e}gpj.exe",
        "cafe\u{301}.png",
        "a+b&c#d?e=f@g:h.png",
        "=?UTF-8?Q?x?=.png",
        "~|^`${}<>[]!.png",
        "\t\u{7f}\u{85}\u{2028}end.png",
    ]
    .map(str::to_owned)
    .into();
    names.push("ü".repeat(127));
    names.push("x".repeat(255));
    names
}

#[tokio::test]
async fn download_has_the_file_name_and_no_injected_header() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker_with(private_field()).await;
    let (user, client) = (broker.user(), http_client());
    for (place, filename) in odd_names().iter().enumerate() {
        let (content_type, kind) = match place % 2 {
            0 => ("image/png", "inline; "),
            _ => ("application/pdf", "attachment; "),
        };
        let download = download_of(&user, filename, content_type).await;
        let url = download.json["url"].as_str().expect("a URL");
        let answer = client.get(url).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{filename:?}");
        assert_eq!(answer.headers()[CONTENT_TYPE], content_type);
        assert!(!answer.headers().contains_key("set-cookie"));
        let dispositions: Vec<_> = answer
            .headers()
            .get_all(CONTENT_DISPOSITION)
            .iter()
            .collect();
        assert_eq!(dispositions.len(), 1, "{filename:?}");
        let disposition = dispositions[0].to_str().expect("ASCII").to_owned();
        assert!(disposition.starts_with(kind), "{disposition}");
        assert_eq!(answer.bytes().await.expect("a body"), BYTES);
        let (name, plain) = names_in(&disposition);
        let kept = FileName::parse(filename).expect("a name");
        assert_eq!(name, kept.as_str(), "{disposition}");
        assert!(
            !plain.contains(['/', '\\', '%']) && plain.is_ascii(),
            "{disposition}"
        );
    }
}

#[tokio::test]
async fn private_url_lives_as_configured_and_fails_if_altered() {
    let test_env = TestEnv::new().await;
    let mut short = private_field();
    short["limits"] = json!({"download_lifetime_secs": 20});
    for (change, lifetime_secs) in [(private_field(), 300), (short, 20)] {
        let broker = test_env.broker_with(change).await;
        let download = download_of(&broker.user(), "proof.pdf", "application/pdf").await;
        let url = download.json["url"].as_str().expect("a URL");
        let query: std::collections::BTreeMap<_, _> = url::Url::parse(url)
            .expect("a URL")
            .query_pairs()
            .into_owned()
            .collect();
        assert_eq!(query["X-Amz-Expires"], lifetime_secs.to_string());
        let ends = download.json["expires_at"].as_str().expect("a time");
        let ends = chrono::DateTime::parse_from_rfc3339(ends).expect("a time");
        let left = (ends.to_utc() - chrono::Utc::now()).num_seconds();
        assert!(
            (lifetime_secs - 15..=lifetime_secs).contains(&left),
            "{left}"
        );
        let client = http_client();
        for (from, to) in [
            ("attachment", "inline"),
            ("proof.pdf", "proof.exe"),
            ("application", "text"),
        ] {
            assert!(url.contains(from), "{url}");
            let answer = client.get(url.replacen(from, to, 1)).send().await;
            assert_eq!(answer.expect("an answer").status(), 403, "{from} -> {to}");
        }
        assert_eq!(
            client.get(url).send().await.expect("an answer").status(),
            200
        );
    }
}

#[tokio::test]
async fn public_object_is_readable_at_its_plain_url() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let confirmed = broker
        .user()
        .upload("Product.image", BYTES, "image/png")
        .await;
    let path = format!("/v1/uploads/{}/download", confirmed.id());
    let download = broker.user().get(&path).await.expect(200);
    assert_eq!(
        download.json,
        json!({"url": confirmed.json["url"], "expires_at": null})
    );
}
