//! CORS: any origin, never with credentials, and only the methods and headers that an upload or a download needs.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Response};
use s3s::{Body, S3Result, s3_error};

const METHODS: &str = "GET, PUT, POST, HEAD";

const HEADERS: [&str; 3] = ["content-type", "content-md5", "if-none-match"];

const EXPOSED: &str = "ETag, Location, x-amz-checksum-crc32, x-amz-checksum-crc32c, \
    x-amz-checksum-crc64nvme, x-amz-checksum-sha1, x-amz-checksum-sha256, x-amz-checksum-type";

/// Answers a preflight (`OPTIONS`).
///
/// # Errors
/// 400 without an origin, 403 for a method or a header that is not allowed.
pub(super) fn preflight(request: &HeaderMap) -> S3Result<Response<Body>> {
    let text = |name| {
        request
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let (Some(_), Some(method)) = (text(ORIGIN), text(ACCESS_CONTROL_REQUEST_METHOD)) else {
        return Err(s3_error!(
            InvalidRequest,
            "OPTIONS must have Origin and Access-Control-Request-Method"
        ));
    };
    if !METHODS.split(", ").any(|allowed| allowed == method) {
        return Err(s3_error!(
            AccessDenied,
            "CORS: the method {method:?} is not allowed"
        ));
    }
    let requested = text(ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
    let requested: Vec<String> = requested
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect();
    let refused = requested
        .iter()
        .find(|name| !name.starts_with("x-amz-") && !HEADERS.contains(&name.as_str()));
    if let Some(name) = refused {
        return Err(s3_error!(
            AccessDenied,
            "CORS: the header {name:?} is not allowed"
        ));
    }
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(METHODS),
    );
    if let Ok(value) = HeaderValue::try_from(requested.join(", "))
        && !requested.is_empty()
    {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, value);
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    Ok(response)
}

/// Adds the headers that let a page read a response or an error.
pub(super) fn decorate(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(EXPOSED),
    );
    headers.insert(
        VARY,
        HeaderValue::from_static(
            "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
        ),
    );
}
