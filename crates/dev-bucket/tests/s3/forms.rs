//! Form uploads under a POST policy, as a browser sends them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::running::{Answer, BUCKET, Running, running};
use super::sign::{ACCESS_KEY, REGION, scope, sign_policy};

struct Form {
    at: DateTime<Utc>,
    expires_in: TimeDelta,
    region: &'static str,
    conditions: Vec<Value>,
    fields: Vec<(String, String)>,
    file: Vec<u8>,
}

fn form(file: &[u8]) -> Form {
    Form {
        at: Utc::now(),
        expires_in: TimeDelta::minutes(10),
        region: REGION,
        conditions: vec![
            json!({"bucket": BUCKET}),
            json!(["starts-with", "$key", "staging/"]),
            json!(["eq", "$content-type", "image/png"]),
            json!(["content-length-range", 3, 10]),
        ],
        fields: vec![
            ("key".to_owned(), "staging/k".to_owned()),
            ("content-type".to_owned(), "image/png".to_owned()),
        ],
        file: file.to_vec(),
    }
}

impl Form {
    fn field(mut self, name: &str, value: &str) -> Form {
        self.fields.retain(|(other, _)| other != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    async fn send(self, bucket: &Running) -> Answer {
        self.send_with(bucket, &[]).await
    }

    async fn send_with(mut self, bucket: &Running, headers: &[(&str, &str)]) -> Answer {
        let credential = format!("{ACCESS_KEY}/{}", scope(self.at, self.region, "s3"));
        let date = self.at.format("%Y%m%dT%H%M%SZ").to_string();
        for (name, value) in [
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", &credential),
            ("x-amz-date", &date),
        ] {
            self.conditions.push(json!({name: value}));
            self.fields.push((name.to_owned(), value.to_owned()));
        }
        let expiration = self.at + self.expires_in;
        let policy = json!({
            "expiration": expiration.format("%Y-%m-%dT%H:%M:%S.000Z").to_string(),
            "conditions": self.conditions,
        });
        let policy = BASE64.encode(policy.to_string());
        let signature = sign_policy(&policy, self.at, self.region);
        self.fields.push(("policy".to_owned(), policy));
        self.fields.push(("x-amz-signature".to_owned(), signature));
        post(bucket, &self.fields, &self.file, headers).await
    }
}

async fn post(
    bucket: &Running,
    fields: &[(String, String)],
    file: &[u8],
    headers: &[(&str, &str)],
) -> Answer {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part =
            format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let head = "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n";
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--edge--\r\n");
    let mut all = vec![("content-type", "multipart/form-data; boundary=edge")];
    all.extend_from_slice(headers);
    bucket
        .send("POST", &format!("/{BUCKET}"), &all, &body)
        .await
}

#[tokio::test]
async fn a_form_that_keeps_to_its_policy_is_stored() {
    let bucket = running();
    let answer = form(b"hello").send(&bucket).await;
    assert_eq!(answer.code(), "204 ");
    assert_eq!(answer.header("location"), Some("/media/staging/k"));
    let etag = answer.header("etag").unwrap();
    let head = bucket.sdk().head_object().bucket(BUCKET).key("staging/k");
    let head = head.send().await.unwrap();
    assert_eq!(head.content_type(), Some("image/png"));
    assert_eq!(head.e_tag(), Some(etag));
    let mut created = form(b"hello").field("success_action_status", "201");
    created
        .conditions
        .push(json!(["eq", "$success_action_status", "201"]));
    let answer = created.send(&bucket).await;
    assert_eq!(answer.status, 201);
    let body = String::from_utf8(answer.body).unwrap();
    assert!(body.contains("<Key>staging/k</Key>"), "{body}");
}

#[tokio::test]
async fn a_form_that_breaks_its_policy_is_refused() {
    let bucket = running();
    let long = b"eleven bytes".as_slice();
    for (name, form, status) in [
        ("too large", form(long), 400),
        ("too small", form(b"hi"), 400),
        ("another key", form(b"hello").field("key", "media/k"), 400),
        (
            "another type",
            form(b"hello").field("content-type", "text/html"),
            400,
        ),
        (
            "a field without a condition",
            form(b"hello").field("x-amz-meta-a", "b"),
            403,
        ),
        ("an acl", form(b"hello").field("acl", "public-read"), 403),
        (
            "expired",
            Form {
                expires_in: TimeDelta::seconds(-1),
                ..form(b"hello")
            },
            403,
        ),
        (
            "another region",
            Form {
                region: "eu-west-1",
                ..form(b"hello")
            },
            403,
        ),
    ] {
        let answer = form.send(&bucket).await;
        assert!(
            answer.status == status || (status == 400 && answer.status == 403),
            "{name}: {}",
            answer.code()
        );
    }
    assert_eq!(bucket.files(), 0);
}

#[tokio::test]
async fn a_form_older_than_a_quarter_of_an_hour_works_until_its_policy_expires() {
    let bucket = running();
    let old = Form {
        at: Utc::now() - TimeDelta::minutes(40),
        expires_in: TimeDelta::minutes(60),
        ..form(b"hello")
    };
    assert_eq!(old.send(&bucket).await.code(), "204 ");
}

#[tokio::test]
async fn a_form_with_a_wrong_signature_or_none_or_version_2_is_refused() {
    let bucket = running();
    let plain: Vec<(String, String)> = form(b"hello").fields;
    let answer = post(&bucket, &plain, b"hello", &[]).await;
    assert_eq!(answer.code(), "403 AccessDenied");
    let mut version_2 = plain.clone();
    for (name, value) in [
        ("AWSAccessKeyId", ACCESS_KEY),
        ("policy", "e30="),
        ("signature", "x"),
    ] {
        version_2.push((name.to_owned(), value.to_owned()));
    }
    let answer = post(&bucket, &version_2, b"hello", &[]).await;
    assert_eq!(answer.status, 403);
    let copy = [("x-amz-copy-source", "/media/secret")];
    let answer = form(b"hello").send_with(&bucket, &copy).await;
    assert_eq!(answer.code(), "403 AccessDenied");
    assert_eq!(bucket.files(), 0);
}

#[tokio::test]
async fn a_form_may_not_name_a_key_that_no_path_could() {
    let bucket = running();
    for key in [
        "staging/${filename}",
        &format!("staging/{}", "k".repeat(1_020)),
    ] {
        let answer = form(b"hello").field("key", key).send(&bucket).await;
        assert!([400, 501].contains(&answer.status), "{}", answer.code());
    }
    assert_eq!(bucket.files(), 0);
}

#[tokio::test]
async fn a_forms_checksum_is_checked() {
    let bucket = running();
    for (value, code) in [("AAAAAA==", "400 BadDigest"), ("NhCmhg==", "204 ")] {
        let mut form = form(b"hello").field("x-amz-checksum-crc32", value);
        form.conditions.push(json!({"x-amz-checksum-crc32": value}));
        assert_eq!(form.send(&bucket).await.code(), code);
    }
}
