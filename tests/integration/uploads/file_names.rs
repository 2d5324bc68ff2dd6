//! A client's file name is stored for people to read, and used for nothing else.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use unicode_normalization::is_nfc;

use crate::support::api::{Answer, Api};
use crate::support::statuses::{BYTES, path};
use crate::support::test_env::TestEnv;

/// A name, and the name returned; `None`: it is refused.
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn curated() -> Vec<(String, Option<String>)> {
    let same = [
        "cat.jpg",
        "../../etc/passwd",
        "..",
        ".",
        "...",
        "/",
        "//",
        "/etc/passwd",
        "..\\..\\windows\\system32",
        "C:\\boot.ini",
        "\\\\server\\share\\a",
        "%2e%2e%2f",
        "%00",
        "%0d%0a",
        "a%00b.jpg",
        "a/b",
        "a//b",
        "CON",
        "NUL.jpg",
        "LPT1",
        "aux.png",
        "trailing.",
        "trailing ",
        " leading",
        "-rf",
        "--help",
        "~root",
        "$HOME",
        "`id`",
        "$(id)",
        ";rm -rf *",
        "| cat",
        "&&",
        "<script>alert(1)</script>",
        "\"quoted\"",
        "it's",
        "a;b=c",
        "filename*=UTF-8''x",
        "😀.png",
        "👩\u{200d}👩\u{200d}👧.jpg",
        "日本語.jpg",
        "Ünïcödé.jpg",
        "مرحبا.jpg",
        "می\u{200c}خواهم.jpg",
        "{{7*7}}",
        "${jndi:ldap://x}",
        "' OR 1=1 --",
        "staging/upl_01knavb5w8e59a3fjc8w6qgp7z",
        "media/products/x.jpg",
        "index.html",
        ".htaccess",
        ".env",
        "x.php%00.jpg",
        "null",
        "undefined",
        "NaN",
        "x.jpg?acl",
        "x.jpg#a",
        "a\u{a0}b",
        "\u{1f1e9}\u{1f1ea}",
        "ﬁ.jpg",
        "Ⅷ.jpg",
    ];
    let changed = [
        ("a\u{0}b.jpg", "ab.jpg"),
        ("a\r\nb: c.jpg", "ab: c.jpg"),
        ("a\tb", "ab"),
        ("gpj.\u{202e}exe", "gpj.exe"),
        ("\u{2066}a\u{2069}", "a"),
        ("a\u{200b}b\u{feff}c", "abc"),
        ("a\u{85}b\u{2028}c\u{2029}d", "abcd"),
        ("cafe\u{301}.jpg", "café.jpg"),
        ("e\u{200b}\u{301}", "é"),
        ("\u{212b}.jpg", "Å.jpg"),
        ("\u{1b}[31mred", "[31mred"),
        ("\u{7f}del", "del"),
    ];
    let refused = [
        String::new(),
        " ".into(),
        "\u{0}".into(),
        "\u{200b}\u{feff}".into(),
        "\r\n\t".into(),
        "x".repeat(256),
        "ü".repeat(128),
        "x".repeat(4096),
        "😀".repeat(64),
    ];
    let long = [
        "x".repeat(255),
        "ü".repeat(127),
        "😀".repeat(63),
        "n\u{303}".repeat(127),
    ];
    let mut all: Vec<(String, Option<String>)> = Vec::new();
    all.extend(same.map(|name| (name.to_owned(), Some(name.to_owned()))));
    all.extend(changed.map(|(from, to)| (from.to_owned(), Some(to.to_owned()))));
    all.extend(refused.map(|name| (name, None)));
    all.extend(long.map(|name| (name.clone(), Some(name.replace("n\u{303}", "ñ")))));
    all
}

async fn create(user: &Api, filename: &str) -> Answer {
    let body = json!({
        "field": "Product.image", "filename": filename, "content_type": "image/jpeg", "size": BYTES.len(),
    });
    user.post("/v1/uploads", &body).await
}

/// A presigned URL names the upload and nothing else.
fn check_staging(created: &Answer, bucket: &str) {
    let url = created.json["presigned"]["url"].as_str().expect("a URL");
    let url = url::Url::parse(url).expect("a URL");
    let path = format!("/{bucket}/staging/{}", created.id());
    assert_eq!(url.path(), path, "{}", created.text);
    for (name, value) in url.query_pairs() {
        let known = name.starts_with("X-Amz-") || (name == "x-id" && value == "PutObject");
        assert!(known, "{name}={value}");
    }
    let headers = created.json["presigned"]["headers"]
        .as_object()
        .expect("headers");
    assert!(
        headers.keys().all(|name| name == "content-type"),
        "{headers:?}"
    );
}

/// A final key consists of the field's prefix, random characters, and the type's extension.
fn check_key(key: &str) {
    let random = key
        .strip_prefix("media/products/")
        .and_then(|rest| rest.strip_suffix(".jpg"))
        .unwrap_or_else(|| panic!("{key}"));
    let crockford = |c: char| c.is_ascii_digit() || (c.is_ascii_lowercase() && !"ilou".contains(c));
    assert!(random.len() == 32 && random.chars().all(crockford), "{key}");
}

#[tokio::test]
async fn hostile_file_names_are_normalized_and_never_reach_a_key_or_a_header() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let cases = curated();
    assert!(cases.len() >= 60);
    for (index, (name, expected)) in cases.into_iter().enumerate() {
        let created = create(&user, &name).await;
        let Some(expected) = expected else {
            let refused = created.expect_problem(400, "invalid-request");
            assert_eq!(
                refused.json["errors"][0]["pointer"], "/filename",
                "{name:?}"
            );
            continue;
        };
        let created = created.expect(201);
        assert_eq!(created.json["filename"], expected, "{name:?}");
        check_staging(&created, &test_env.bucket.name);
        let read = user.read(created.id()).await.expect(200);
        assert_eq!(read.json["filename"], expected, "{name:?}");
        // Every fifth is confirmed, which is enough.
        if index % 5 != 0 {
            continue;
        }
        user.put(&created, BYTES).await.expect(200);
        let confirmed = user.confirm(created.id()).await.expect(200);
        assert_eq!(confirmed.json["filename"], expected, "{name:?}");
        let key = confirmed.json["key"].as_str().expect("a key");
        check_key(key);
        let head = test_env.bucket.head(key).await.expect("the object");
        assert_eq!(head.content_disposition(), Some("inline"), "{name:?}");
        assert!(head.metadata().is_none_or(|metadata| metadata.is_empty()));
    }
}

#[test]
fn any_file_name_is_returned_readable_and_unchanged_by_a_second_trip() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let test_env = runtime.block_on(TestEnv::new());
    let broker = runtime.block_on(test_env.broker());
    let user = broker.user();
    // PROPTEST_CASES sets the number of cases; the default is 256.
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let anything = prop_oneof![
        any::<String>(),
        "[ -~]{0,300}",
        "(\\.\\./|%2e|\\\\|\u{202e}|\u{0}|\r|\n|e\u{301}|\u{1f600}){1,60}",
        prop::collection::vec(any::<char>(), 0..300).prop_map(String::from_iter),
    ];
    let outcome = TestRunner::new(config).run(&anything, |name| {
        let created = runtime.block_on(create(&user, &name));
        let visible = name.chars().any(|c| c.is_ascii_graphic());
        if created.status != 201 {
            prop_assert_eq!(created.code(), "invalid-request", "{}", created.text);
            prop_assert!(!visible || name.len() > 255 / 3, "{:?} was refused", name);
            return Ok(());
        }
        check_staging(&created, &test_env.bucket.name);
        let kept = created.json["filename"].as_str().expect("a name");
        prop_assert!(is_nfc(kept) && (1..=255).contains(&kept.len()), "{:?}", kept);
        let hidden = |c: char| c.is_control() || "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200e}\u{200f}".contains(c);
        prop_assert!(!kept.contains(hidden), "{:?}", kept);
        if name.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            prop_assert_eq!(kept, &name);
        }
        let again = runtime.block_on(create(&user, kept));
        prop_assert_eq!(&again.json["filename"], kept);
        let read = runtime.block_on(user.read(created.id()));
        prop_assert_eq!(&read.json["filename"], kept);
        runtime.block_on(user.delete(&path(created.id())));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    drop(broker);
    runtime.block_on(async { drop(test_env) });
}

#[tokio::test]
async fn file_names_that_are_not_unicode_are_refused() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let names: [&[u8]; 8] = [
        b"\xc0\xae\xc0\xae\xc0\xaf",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
        b"\\ud800",
        b"\\udc00\\ud800",
        b"a\nb",
    ];
    for name in names {
        let head = br#"{"field":"Product.image","content_type":"image/jpeg","size":5,"filename":""#;
        let body = [head, name, b"\"}"].concat();
        let request = user
            .request(reqwest::Method::POST, "/v1/uploads")
            .header("content-type", "application/json")
            .body(body);
        let answer = crate::support::api::send(request).await;
        answer.expect_problem(400, "invalid-request");
    }
    let list = user.get("/v1/uploads").await.expect(200);
    assert_eq!(list.json["data"], Value::Array(Vec::new()));
}
