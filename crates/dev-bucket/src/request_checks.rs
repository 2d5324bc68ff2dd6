//! Checks that s3s does not make, before s3s sees the request.
//!
//! A request that passes is a form upload, an anonymous read, or claims a Signature Version 4 for S3 in this region. Such a signature
//! covers every `x-amz-*` header. s3s then verifies the signature itself.

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RANGE, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use s3s::dto::Range;
use s3s::{S3Result, s3_error};

use super::sigv4::{self, Signed};

/// Headers of S3 that this server does not support. They are refused, because a client must not believe that they took effect.
const UNSUPPORTED: [&str; 9] = [
    "x-amz-acl",
    "x-amz-tagging",
    "x-amz-tagging-directive",
    "x-amz-website-redirect-location",
    "x-amz-storage-class",
    "x-amz-write-offset-bytes",
    "x-amz-bypass-governance-retention",
    "x-amz-mfa",
    "x-amz-security-token",
];

/// Prefixes of further unsupported headers.
const UNSUPPORTED_PREFIXES: [&str; 4] = [
    "x-amz-grant-",
    "x-amz-object-lock-",
    "x-amz-server-side-encryption",
    "x-amz-copy-source-server-side-encryption",
];

/// The query parameters of a presigned URL's signature. Every other `x-amz-*` parameter is read as the header of that name.
const SIGNATURE_QUERY: [&str; 6] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
];

/// Checks a request, and normalizes it for s3s.
///
/// # Errors
/// `AccessDenied` for `x-amz-*` headers that the signature does not cover, 400 for malformed and 501 for unsupported requests.
pub(super) fn check(parts: &mut Parts, region: &str) -> S3Result<()> {
    require_single_headers(&parts.headers)?;
    require_path(parts.uri.path())?;
    let query = query_pairs(parts.uri.query().unwrap_or_default());
    refuse_version_2(&parts.headers, &query)?;
    refuse_versions(&query)?;
    let presigned = query
        .iter()
        .any(|(name, _)| SIGNATURE_QUERY.contains(&&*name.to_ascii_lowercase()));
    let authorization = parts.headers.get(AUTHORIZATION).cloned();
    match authorization {
        _ if is_form(parts) => refuse_headers_of_form(&parts.headers, presigned)?,
        Some(_) if presigned => {
            return Err(s3_error!(
                InvalidArgument,
                "only one authentication mechanism is allowed: a query or a header"
            ));
        }
        Some(value) => {
            let signed = sigv4::parse_header(&value, &parts.headers)?;
            signed.require_scope(region)?;
            require_covered(
                &parts.headers,
                &signed,
                &["x-amz-content-sha256", "x-amz-date"],
            )?;
        }
        None if presigned => {
            let signed = sigv4::parse_query(&query)?;
            signed.require_scope(region)?;
            require_covered(&parts.headers, &signed, &[])?;
            move_query_to_headers(&mut parts.headers, &query)?;
            refuse_streaming(&parts.headers)?;
        }
        None => require_read(&parts.method)?,
    }
    refuse_unsupported(&parts.headers)?;
    require_length(&parts.headers)?;
    ignore_malformed_range(&mut parts.headers);
    join_encodings(&mut parts.headers);
    Ok(())
}

fn query_pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

// The signature check and the operation read repeated or non-UTF-8 headers differently.
fn require_single_headers(headers: &HeaderMap) -> S3Result<()> {
    for name in headers.keys() {
        let relevant = name.as_str().starts_with("x-amz-")
            || ["host", "content-md5", "if-none-match", "if-match"].contains(&name.as_str())
            || [AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE].contains(name);
        let mut values = headers.get_all(name).iter();
        let text = values
            .next()
            .is_some_and(|value| std::str::from_utf8(value.as_bytes()).is_ok());
        if relevant && (!text || values.next().is_some()) {
            return Err(s3_error!(
                InvalidArgument,
                "the header {name} must come once, as UTF-8"
            ));
        }
    }
    Ok(())
}

fn require_path(path: &str) -> S3Result<()> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
    match decoded {
        Ok(path) if !path.contains('\0') => Ok(()),
        _ => Err(s3_error!(InvalidURI, "a key must be UTF-8 without NUL")),
    }
}

fn refuse_version_2(headers: &HeaderMap, query: &[(String, String)]) -> S3Result<()> {
    let in_query = query
        .iter()
        .any(|(name, _)| ["signature", "awsaccesskeyid"].contains(&&*name.to_ascii_lowercase()));
    let in_header = headers
        .get(AUTHORIZATION)
        .is_some_and(|value| value.as_bytes().starts_with(b"AWS "));
    if in_query || in_header {
        return Err(s3_error!(
            InvalidRequest,
            "the authorization mechanism you have provided is not supported: use AWS4-HMAC-SHA256"
        ));
    }
    Ok(())
}

fn refuse_versions(query: &[(String, String)]) -> S3Result<()> {
    let versioned = query
        .iter()
        .any(|(name, value)| name == "versionId" && value != "null");
    if versioned {
        return Err(s3_error!(NotImplemented, "versions are not supported"));
    }
    Ok(())
}

pub(super) fn is_form(parts: &Parts) -> bool {
    parts.method == Method::POST
        && parts.headers.get(CONTENT_TYPE).is_some_and(|value| {
            let value = value.as_bytes().trim_ascii_start();
            value
                .get(..19)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/form-data"))
        })
}

// A form is signed by its policy, which covers fields and no header.
fn refuse_headers_of_form(headers: &HeaderMap, presigned: bool) -> S3Result<()> {
    if presigned || headers.contains_key(AUTHORIZATION) {
        return Err(s3_error!(
            InvalidArgument,
            "a form upload must be signed by its policy only"
        ));
    }
    require_covered(headers, &Signed::default(), &[])
}

fn require_covered(headers: &HeaderMap, signed: &Signed, exempt: &[&str]) -> S3Result<()> {
    let uncovered = headers
        .keys()
        .map(HeaderName::as_str)
        .filter(|name| name.starts_with("x-amz-"))
        .find(|name| !signed.covers(name) && !exempt.contains(name));
    match uncovered {
        None => Ok(()),
        Some(name) => Err(s3_error!(
            AccessDenied,
            "there were headers present in the request which were not signed: {name}"
        )),
    }
}

// SDKs may move headers into the query, where the signature covers them; s3s would ignore them.
fn move_query_to_headers(headers: &mut HeaderMap, query: &[(String, String)]) -> S3Result<()> {
    for (name, value) in query {
        let name = name.to_ascii_lowercase();
        if !name.starts_with("x-amz-") || SIGNATURE_QUERY.contains(&&*name) {
            continue;
        }
        let invalid = || {
            s3_error!(
                InvalidArgument,
                "the query parameter {name} is not a valid header"
            )
        };
        let header = HeaderName::try_from(&name).map_err(|_| invalid())?;
        let value = HeaderValue::try_from(value).map_err(|_| invalid())?;
        if headers.insert(header, value).is_some() {
            return Err(s3_error!(
                InvalidArgument,
                "{name} must come once: in the query or as a header"
            ));
        }
    }
    Ok(())
}

fn refuse_streaming(headers: &HeaderMap) -> S3Result<()> {
    let streams = |value: &HeaderValue| value.as_bytes().starts_with(b"STREAMING-");
    if headers.get("x-amz-content-sha256").is_some_and(streams) {
        return Err(s3_error!(
            InvalidRequest,
            "a presigned URL does not support a streaming payload"
        ));
    }
    Ok(())
}

fn require_read(method: &Method) -> S3Result<()> {
    match *method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(s3_error!(AccessDenied, "the request is not signed")),
    }
}

fn refuse_unsupported(headers: &HeaderMap) -> S3Result<()> {
    let found = headers.keys().map(HeaderName::as_str).find(|name| {
        UNSUPPORTED.contains(name)
            || UNSUPPORTED_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix))
    });
    match found {
        None => Ok(()),
        Some(name) => Err(s3_error!(
            NotImplemented,
            "the development bucket does not support {name}"
        )),
    }
}

// A chunked body without a declared length would bypass a signed content-length.
fn require_length(headers: &HeaderMap) -> S3Result<()> {
    if headers.contains_key(TRANSFER_ENCODING)
        && !headers.contains_key("x-amz-decoded-content-length")
    {
        return Err(s3_error!(
            MissingContentLength,
            "the body must have a Content-Length"
        ));
    }
    Ok(())
}

// RFC 9110 and S3 ignore a malformed range; s3s would refuse it.
fn ignore_malformed_range(headers: &mut HeaderMap) {
    let readable =
        |value: &HeaderValue| value.to_str().is_ok_and(|text| Range::parse(text).is_ok());
    let signed = headers
        .get(AUTHORIZATION)
        .is_some_and(|value| value.as_bytes().windows(5).any(|part| part == b"range"));
    if !signed && headers.get(RANGE).is_some_and(|value| !readable(value)) {
        headers.remove(RANGE);
    }
}

// SDKs send `aws-chunked` as a header line of its own. s3s reads one line only, and signs several lines as if they were joined with commas.
fn join_encodings(headers: &mut HeaderMap) {
    let lines: Vec<&str> = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    if lines.len() > 1
        && let Ok(joined) = HeaderValue::try_from(lines.join(","))
    {
        headers.insert(CONTENT_ENCODING, joined);
    }
}
