//! Presigned URLs by AWS Signature Version 4, computed locally at the cost of about one HMAC.
//!
//! The `aws-sigv4` crate derives its key anew for each signature; here the derived key is kept for its day, and the crate does
//! the cryptography. A test compares every kind of URL with the SDK's own presigner.

use std::fmt::Write as _;

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use chrono::{DateTime, TimeDelta, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use url::Url;

/// All but the unreserved characters of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// Percent-encodes a key once, its slashes kept.
pub(super) fn encode_path(key: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(key, PATH)
}

/// Percent-encodes one value of a query.
pub(super) fn encode_query(value: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(value, QUERY)
}

/// The bucket's address, with the bucket's name in the host or in the path.
pub(super) struct Target {
    /// `https://host:port`.
    origin: String,
    /// `host:port`, as a client sends it: without a default port.
    host: String,
    /// The path before `/key`; empty or `/bucket`.
    path: String,
}

impl Target {
    /// Splits the bucket's URL; `None` where it has no host.
    pub(super) fn parse(bucket_url: &str) -> Option<Target> {
        let url = Url::parse(bucket_url).ok()?;
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str()?),
            None => url.host_str()?.to_owned(),
        };
        Some(Target {
            origin: format!("{}://{host}", url.scheme()),
            host,
            path: url.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The URL that `/key` is appended to.
    pub(super) fn base(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }
}

/// The signing key of one day and region.
pub(super) struct DayKey {
    /// Days since 1970.
    pub(super) day: i64,
    key: [u8; 32],
    scope: String,
    /// The query up to the date's value.
    query_start: String,
}

impl DayKey {
    /// Derives it. `day` must be the day of `at`.
    pub(super) fn derive(
        access_key_id: &str,
        secret: &str,
        at: DateTime<Utc>,
        region: &str,
    ) -> DayKey {
        let derived = generate_signing_key(secret, at.into(), region, "s3");
        let mut key = [0; 32];
        key.copy_from_slice(derived.as_ref());
        let scope = format!("{}/{region}/s3/aws4_request", at.format("%Y%m%d"));
        let credential = format!("{access_key_id}/{scope}");
        let query_start = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date=",
            encode_query(&credential)
        );
        DayKey {
            day: day_of(at),
            key,
            scope,
            query_start,
        }
    }
}

/// Days since 1970, in UTC: the day that a key is derived for.
pub(super) fn day_of(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(86_400)
}

/// One request to sign.
pub(super) struct UnsignedRequest<'a> {
    pub(super) method: &'static str,
    pub(super) key: &'a str,
    /// Signed headers besides `host`; lower-case names.
    pub(super) headers: &'a [(&'static str, &'a str)],
    /// Query parameters besides the signature's own; lower-case names, sorted.
    pub(super) query: &'a [(&'static str, &'a str)],
}

/// The validity of a signature.
pub(super) struct Window {
    /// Whole seconds.
    pub(super) signed_at: DateTime<Utc>,
    pub(super) lifetime_secs: u32,
}

impl Window {
    /// When the store begins to refuse the URL.
    pub(super) fn ends_at(&self) -> DateTime<Utc> {
        self.signed_at + TimeDelta::seconds(self.lifetime_secs.into())
    }
}

/// The signed URL. `day` is the key of the day of `window.signed_at`. The payload stays unsigned: its length and checksum are signed
/// headers.
pub(super) fn presign(
    target: &Target,
    day: &DayKey,
    encoded_session_token: Option<&str>,
    request: &UnsignedRequest<'_>,
    window: &Window,
) -> SecretString {
    let mut headers = Vec::with_capacity(request.headers.len() + 1);
    headers.push(("host", target.host.as_str()));
    headers.extend_from_slice(request.headers);
    headers.sort_unstable();

    let date_time = window.signed_at.format("%Y%m%dT%H%M%SZ").to_string();
    let mut url = String::with_capacity(1024);
    let _ = write!(
        url,
        "{}{}/{}",
        target.origin,
        target.path,
        encode_path(request.key)
    );
    let path = target.origin.len()..url.len();
    url.push('?');
    let query = url.len();
    let _ = write!(
        url,
        "{}{date_time}&X-Amz-Expires={}",
        day.query_start, window.lifetime_secs
    );
    write_rest_of_query(&mut url, encoded_session_token, &headers, request.query);

    let mut canonical = String::with_capacity(1024);
    let _ = write!(
        canonical,
        "{}\n{}\n{}\n",
        request.method,
        &url[path],
        &url[query..]
    );
    for (name, value) in &headers {
        let _ = writeln!(canonical, "{name}:{value}");
    }
    canonical.push('\n');
    write_names(&mut canonical, &headers, ";");
    canonical.push_str("\nUNSIGNED-PAYLOAD");

    let digest = hex::encode(Sha256::digest(canonical.as_bytes()));
    let to_sign = format!("AWS4-HMAC-SHA256\n{date_time}\n{}\n{digest}", day.scope);
    url.push_str("&X-Amz-Signature=");
    url.push_str(&calculate_signature(day.key, to_sign.as_bytes()));
    SecretString::from(url)
}

/// The query stays canonical, that is sorted: capitals sort before the lower-case names of `extra`.
fn write_rest_of_query(
    url: &mut String,
    encoded_session_token: Option<&str>,
    headers: &[(&str, &str)],
    extra: &[(&str, &str)],
) {
    if let Some(token) = encoded_session_token {
        let _ = write!(url, "&X-Amz-Security-Token={token}");
    }
    url.push_str("&X-Amz-SignedHeaders=");
    write_names(url, headers, "%3B");
    for (name, value) in extra {
        let _ = write!(url, "&{name}={}", encode_query(value));
    }
}

fn write_names(out: &mut String, headers: &[(&str, &str)], separator: &str) {
    for (index, (name, _)) in headers.iter().enumerate() {
        if index > 0 {
            out.push_str(separator);
        }
        out.push_str(name);
    }
}
