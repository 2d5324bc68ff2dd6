//! The table of problem codes: name, status, title and remedy.
//!
//! Problems, the OpenAPI document and the page `/problems` are generated from it.

use actix_web::http::StatusCode;

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// The code.
    pub code: Code,
    /// The code as clients see it. It never changes.
    pub name: &'static str,
    /// Its HTTP status.
    pub status: u16,
    /// What is wrong, the same for every occurrence.
    pub title: &'static str,
    /// What the client can do about it.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($code:ident $name:literal $status:literal $title:literal $remedy:literal;)*) => {
        /// A problem code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $title] $code,)*
        }

        /// Every code, in the order of the statuses.
        pub static CODES: &[Row] = &[
            $(Row { code: Code::$code, name: $name, status: $status, title: $title, remedy: $remedy },)*
        ];
    };
}

codes! {
    InvalidRequest "invalid-request" 400 "The request is invalid"
        "Read `detail` and `errors`: each entry points to one member of the body and says what is allowed. The unchanged request always fails.";
    TokenMissing "token-missing" 401 "A bearer token is required"
        "Send `Authorization: Bearer <JWT>`. In development, `bytepass dev` prints tokens and `bytepass token` creates more.";
    TokenInvalid "token-invalid" 401 "The bearer token is not valid"
        "Get a new token from your issuer; `detail` says what is wrong with this one. Issuer, audience, key id, algorithm and lifetime must be as configured.";
    ScopeInsufficient "scope-insufficient" 403 "The token's scopes do not allow this"
        "Use a token with the scope that `detail` names. A new token with the same scopes changes nothing.";
    FieldNotAllowed "field-not-allowed" 403 "The token does not allow this field"
        "The token's `fields` claim limits it to other fields. Get a token whose claim includes this field.";
    NotFound "not-found" 404 "No route has this path"
        "Compare the path with the list at `/docs`.";
    UploadNotFound "upload-not-found" 404 "No such upload"
        "The id is wrong, or the upload belongs to another owner: both return the same problem. Use the `id` from the response to the create request, with a token of the same owner.";
    MethodNotAllowed "method-not-allowed" 405 "The route does not support this method"
        "The `Allow` header lists the supported methods.";
    RequestTimeout "request-timeout" 408 "The request did not arrive in time"
        "Send the request again. The body is small JSON: files go to the presigned URL.";
    ObjectMissing "object-missing" 409 "The bucket has no object for this upload yet"
        "PUT the file to `presigned.url` with exactly `presigned.headers`, wait for its 200, then confirm again. The upload is unchanged.";
    AlreadyAttached "already-attached" 409 "The upload is attached to another record"
        "An upload belongs to one record. Detach it and create a new one, or attach a new upload to the other record.";
    WrongStatus "wrong-status" 409 "The upload's status does not allow this"
        "`status_now` is the upload's current status. To send the file again, create a new upload.";
    RequestInProgress "request-in-progress" 409 "A request with the same idempotency key is in progress"
        "Send the same request again after `Retry-After` seconds: it returns the result of the first one.";
    UploadExpired "upload-expired" 410 "The upload has expired"
        "Create a new upload. An expired upload cannot be used again.";
    PayloadTooLarge "payload-too-large" 413 "The request body is too large"
        "Bodies are JSON of at most 16 KiB. The file itself goes to `presigned.url`.";
    UnsupportedMediaType "unsupported-media-type" 415 "The request body must be JSON"
        "Send `Content-Type: application/json`, in UTF-8 and not compressed. The file's media type goes into `content_type`.";
    UnknownField "unknown-field" 422 "The field is not configured"
        "Fields are named `Model.field` and models `Model`, exactly as in the configuration; `detail` lists them.";
    MediaTypeNotAllowed "media-type-not-allowed" 422 "The field does not allow this content type"
        "`errors` lists the types that the field allows. Declare the file's actual type, without parameters.";
    SizeNotAllowed "size-not-allowed" 422 "The field does not allow this size"
        "`errors` says which sizes the field allows, in bytes.";
    ChecksumRequired "checksum-required" 422 "The field requires a checksum"
        "Declare `checksum` with one of the algorithms in `errors`; the value is base64 of the digest, not hexadecimal.";
    IdempotencyKeyReused "idempotency-key-reused" 422 "The idempotency key was used for another request"
        "A request with this `Idempotency-Key` and another body succeeded within the last 24 hours. Use a new key for each request, and repeat a key only to retry the same request.";
    ObjectMismatch "object-mismatch" 422 "The object does not match the declaration"
        "The upload is rejected, and `errors` lists each difference. Create a new upload that declares the file as it is.";
    QuotaExceeded "quota-exceeded" 429 "A quota is exhausted"
        "`detail` names the limit. Too many pending uploads or bytes: confirm or cancel uploads of this owner, or wait until they expire. A used-up grant (canceled uploads count too, and it expires after `Retry-After` seconds): request a new one from the backend.";
    RateLimited "rate-limited" 429 "Too many requests"
        "Wait for `Retry-After` seconds. The headers `RateLimit-Policy` and `RateLimit` give the limit of the owner or address, and the requests left.";
    Internal "internal" 500 "The broker failed"
        "Send the request again. If it fails again, give the `instance` to the operator: the log contains the cause under it.";
    StoreUnavailable "store-unavailable" 503 "The bucket is unavailable"
        "The upload is unchanged. Send the same request again after `Retry-After` seconds.";
    DatabaseUnavailable "database-unavailable" 503 "The database is unavailable"
        "Send the same request again after `Retry-After` seconds.";
    IssuerUnavailable "issuer-unavailable" 503 "The token issuer's keys cannot be fetched"
        "The token was not verified, so keep it. Send the same request again after `Retry-After` seconds.";
    Stopping "stopping" 503 "The broker is shutting down"
        "Only `/readyz` returns this, for load balancers. Send new requests to another broker; requests in progress are completed.";
}

impl Code {
    /// Its row of the table.
    pub fn row(self) -> &'static Row {
        &CODES[self as usize]
    }

    /// Its HTTP status.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The code with this name.
    pub fn parse(name: &str) -> Option<Code> {
        CODES
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.code)
    }
}
