//! The one table of error codes: code, status, title, what it means for whom gets it, and what to do.
//!
//! Problems, the OpenAPI document and the page `/problems` are made from it.

use actix_web::http::StatusCode;

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// Which code.
    pub code: Code,
    /// The code as it stands in an answer: never changes.
    pub name: &'static str,
    /// The HTTP status: one for each code.
    pub status: u16,
    /// What happened, the same for every occurrence.
    pub title: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($code:ident $name:literal $status:literal $title:literal $remedy:literal;)*) => {
        /// What went wrong, as the contract names it.
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
    InvalidRequest "invalid-request" 400 "The request can't be understood"
        "Read `detail` and `errors`: each entry points to one member of the body and says what is allowed. Sent again unchanged, it fails again.";
    TokenMissing "token-missing" 401 "A bearer token is needed"
        "Send `Authorization: Bearer <JWT>`. In development, `bytepass dev` prints tokens and `bytepass token` makes more.";
    TokenInvalid "token-invalid" 401 "The bearer token is not valid"
        "Get a new token from your issuer; `detail` says what is wrong with this one. Issuer, audience, key id, algorithm and lifetime must be as configured.";
    ScopeInsufficient "scope-insufficient" 403 "The token's scopes don't allow this"
        "Use a token with the scope that `detail` names. A new token with the same scopes changes nothing.";
    FieldNotAllowed "field-not-allowed" 403 "The token doesn't reach this field"
        "The token's `fields` claim narrows it to other fields. Ask for one that names this field.";
    NotFound "not-found" 404 "There is nothing at this address"
        "Compare method and path with the list at `/docs`.";
    UploadNotFound "upload-not-found" 404 "No such upload"
        "The id is wrong, or the upload belongs to somebody else: both answer alike. Use the `id` of the answer that created it, with the same user's token.";
    MethodNotAllowed "method-not-allowed" 405 "This address doesn't take this method"
        "The `Allow` header lists the methods that it takes.";
    RequestTimeout "request-timeout" 408 "The request's body did not arrive in time"
        "Send the request again. The body is small JSON: files go to the presigned URL, never here.";
    ObjectMissing "object-missing" 409 "The bucket has no object for this upload yet"
        "PUT the file to `presigned.url` with exactly `presigned.headers`, wait for its 200, then confirm again. The upload is unchanged.";
    AlreadyAttached "already-attached" 409 "The upload is attached to another record"
        "An upload belongs to one record. Detach it and create a new one, or attach a new upload to the other record.";
    WrongStatus "wrong-status" 409 "The upload's status doesn't allow this"
        "`status_now` says where the upload stands. To send the file again, create a new upload.";
    RequestInProgress "request-in-progress" 409 "A request with the same idempotency key is still under way"
        "Send the same request again after `Retry-After` seconds: its answer is that of the first one.";
    UploadExpired "upload-expired" 410 "The upload's time is over"
        "Create a new upload; this one can't be used any more.";
    PayloadTooLarge "payload-too-large" 413 "The request's body is too large"
        "Bodies are JSON of at most 16 KiB. The file itself goes to `presigned.url`, not to this address.";
    UnsupportedMediaType "unsupported-media-type" 415 "The body is not JSON"
        "Send `Content-Type: application/json`, in UTF-8 and not compressed. The file's own type goes into `content_type`.";
    UnknownField "unknown-field" 422 "No such field is configured"
        "Fields are named `Model.field`, and models `Model`, letter by letter as in the configuration; `detail` lists them.";
    MediaTypeNotAllowed "media-type-not-allowed" 422 "The field doesn't take this content type"
        "`errors` lists the types that the field takes. Declare the file's true type, without parameters.";
    SizeNotAllowed "size-not-allowed" 422 "The field doesn't take this size"
        "`errors` says which sizes the field takes, in bytes.";
    ChecksumRequired "checksum-required" 422 "The field requires a checksum"
        "Declare `checksum` with one of the algorithms in `errors`; the value is base64 of the digest, not hexadecimal.";
    IdempotencyKeyReused "idempotency-key-reused" 422 "The idempotency key belongs to another request"
        "A request with this `Idempotency-Key` and another body succeeded within the last 24 hours. Use a fresh key for each new request, and the same one for its retries alone.";
    ObjectMismatch "object-mismatch" 422 "What arrived is not what was declared"
        "The upload is rejected for good, and `errors` holds each difference. Create a new upload that declares the file as it is.";
    QuotaExceeded "quota-exceeded" 429 "No more uploads are allowed now"
        "`detail` says which limit was met. Too much pending: confirm or cancel uploads of this owner, or wait for their deadlines. A grant that is used up (canceled uploads count too, and it ends after `Retry-After` seconds): ask the backend that minted it for a new one.";
    RateLimited "rate-limited" 429 "Too many requests"
        "Wait for `Retry-After` seconds. The headers `RateLimit-Policy` and `RateLimit` say how many requests an owner, or an address, may send, and how many are left.";
    Internal "internal" 500 "Something went wrong on our side"
        "Send the request again; if it fails again, give the operator the `instance`: the log holds the cause under it.";
    StoreUnavailable "store-unavailable" 503 "The bucket doesn't answer"
        "Nothing changed. Send the same request again after `Retry-After` seconds.";
    DatabaseUnavailable "database-unavailable" 503 "The database doesn't answer"
        "Send the same request again after `Retry-After` seconds.";
    IssuerUnavailable "issuer-unavailable" 503 "The token issuer's keys can't be fetched"
        "The token was not judged, so keep it. Send the same request again after `Retry-After` seconds.";
    Stopping "stopping" 503 "The broker is about to end"
        "Only `/readyz` says so, to whoever sends requests here: send new ones to another broker. Those under way are answered.";
}

impl Code {
    /// The code's row.
    pub fn row(self) -> &'static Row {
        &CODES[self as usize]
    }

    /// The code's HTTP status.
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
