//! Signature Version 4 without an SDK, so that a test can sign what no SDK signs, and leave unsigned what every SDK signs.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::hmac;
use sha2::{Digest as _, Sha256};

pub const ACCESS_KEY: &str = "AKDEVELOPMENT";
pub const SECRET_KEY: &str = "a-secret-that-no-log-may-show";
pub const REGION: &str = "us-east-1";

const STRICT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What is signed. `headers` are the signed ones besides `host`.
pub struct Presign<'a> {
    pub method: &'a str,
    pub host: String,
    /// Encoded, with the bucket: `/media/a.txt`.
    pub path: &'a str,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(&'a str, &'a str)>,
    pub region: &'a str,
    pub service: &'a str,
    pub at: DateTime<Utc>,
    pub expires_secs: i64,
}

impl<'a> Presign<'a> {
    pub fn new(method: &'a str, host: String, path: &'a str) -> Presign<'a> {
        Presign {
            method,
            host,
            path,
            query: Vec::new(),
            headers: Vec::new(),
            region: REGION,
            service: "s3",
            at: Utc::now(),
            expires_secs: 900,
        }
    }

    pub fn header(mut self, name: &'a str, value: &'a str) -> Presign<'a> {
        self.headers.push((name, value));
        self
    }

    pub fn query(mut self, name: &str, value: &str) -> Presign<'a> {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Path and query, ready to be requested.
    pub fn target(self) -> String {
        let scope = scope(self.at, self.region, self.service);
        let stamp = self.at.format("%Y%m%dT%H%M%SZ").to_string();
        let mut headers = self.headers.clone();
        headers.push(("host", &self.host));
        headers.sort_unstable();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut query = self.query;
        for (name, value) in [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", &format!("{ACCESS_KEY}/{scope}")),
            ("X-Amz-Date", &stamp),
            ("X-Amz-Expires", &self.expires_secs.to_string()),
            ("X-Amz-SignedHeaders", &names),
        ] {
            query.push((name.to_owned(), value.to_owned()));
        }
        let query = canonical_query(query);
        let canonical = format!(
            "{}\n{}\n{query}\n{}\n{names}\nUNSIGNED-PAYLOAD",
            self.method,
            self.path,
            canonical_headers(&headers)
        );
        let signature = sign(&canonical, self.at, self.region, self.service);
        format!("{}?{query}&X-Amz-Signature={signature}", self.path)
    }

    /// The headers of a request signed in its header: the signed ones and `authorization`.
    pub fn authorization(self, payload: &str) -> Vec<(String, String)> {
        let scope = scope(self.at, self.region, self.service);
        let stamp = self.at.format("%Y%m%dT%H%M%SZ").to_string();
        let mut headers = self.headers.clone();
        headers.push(("host", &self.host));
        headers.push(("x-amz-date", &stamp));
        headers.push(("x-amz-content-sha256", payload));
        headers.sort_unstable();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let canonical = format!(
            "{}\n{}\n{}\n{}\n{names}\n{payload}",
            self.method,
            self.path,
            canonical_query(self.query),
            canonical_headers(&headers)
        );
        let signature = sign(&canonical, self.at, self.region, self.service);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
        );
        let mut all: Vec<(String, String)> = headers
            .iter()
            .filter(|(name, _)| *name != "host")
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        all.push(("authorization".to_owned(), authorization));
        all
    }
}

/// `<date>/<region>/<service>/aws4_request`
pub fn scope(at: DateTime<Utc>, region: &str, service: &str) -> String {
    format!("{}/{region}/{service}/aws4_request", at.format("%Y%m%d"))
}

/// The signature of a policy document (base64).
pub fn sign_policy(policy: &str, at: DateTime<Utc>, region: &str) -> String {
    hex::encode(hmac_sha256(&key(at, region, "s3"), policy))
}

fn canonical_query(mut query: Vec<(String, String)>) -> String {
    query.sort();
    let pairs: Vec<String> = query
        .iter()
        .map(|(name, value)| {
            let name = utf8_percent_encode(name, STRICT);
            format!("{name}={}", utf8_percent_encode(value, STRICT))
        })
        .collect();
    pairs.join("&")
}

fn canonical_headers(headers: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in headers {
        writeln!(text, "{name}:{value}").unwrap();
    }
    text
}

fn sign(canonical: &str, at: DateTime<Utc>, region: &str, service: &str) -> String {
    let hash = hex::encode(Sha256::digest(canonical));
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{}\n{}\n{hash}",
        at.format("%Y%m%dT%H%M%SZ"),
        scope(at, region, service)
    );
    hex::encode(hmac_sha256(&key(at, region, service), &to_sign))
}

fn key(at: DateTime<Utc>, region: &str, service: &str) -> Vec<u8> {
    let secret = format!("AWS4{SECRET_KEY}");
    let date = at.format("%Y%m%d").to_string();
    [date.as_str(), region, service, "aws4_request"]
        .iter()
        .fold(secret.into_bytes(), |key, part| hmac_sha256(&key, part))
}

fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}
