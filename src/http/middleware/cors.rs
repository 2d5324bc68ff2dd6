//! CORS: pages of an exact list of origins may call the API, without credentials. The origin of a request is never reflected.

use actix_cors::Cors;

/// Methods and headers that the supported browser clients send.
pub(super) const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "OPTIONS"];
pub(super) const HEADERS: [&str; 8] = [
    "authorization",
    "content-type",
    "accept",
    "idempotency-key",
    "x-requested-with",
    "x-csrf-token",
    "uppy-versions",
    "traceparent",
];
/// Response headers that pages may read.
const EXPOSED: [&str; 7] = [
    "location",
    "link",
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "www-authenticate",
    "x-request-id",
];
/// How long a browser may cache a preflight, in seconds. Chromium allows at most two hours.
const PREFLIGHT_MAX_AGE_SECS: usize = 7200;

/// CORS for these origins, `https://shop.example`, compared exactly.
pub fn cors(allowed_origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(METHODS)
        .allowed_headers(HEADERS)
        .expose_headers(EXPOSED)
        .max_age(PREFLIGHT_MAX_AGE_SECS);
    allowed_origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}
