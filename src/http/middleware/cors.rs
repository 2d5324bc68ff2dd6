//! Which pages of other origins may call the API: an exact list, no credentials, never a reflected origin.

use actix_cors::Cors;

/// What browsers may send, for every client in the trade.
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
/// What pages may read of an answer besides its body.
const EXPOSED: [&str; 7] = [
    "location",
    "link",
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "www-authenticate",
    "x-request-id",
];
/// How long a browser may remember a preflight, in seconds; Chromium caps it at two hours.
const PREFLIGHT_MAX_AGE_SECS: usize = 7200;

/// CORS for these origins, `https://shop.example`, compared letter by letter.
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
