//! Conditional requests: `If-Match` and the other conditions, on writes, reads and the source of a copy.

use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::stored_headers::timestamp;

/// The condition of a write or a removal.
#[derive(Debug, Clone, Default)]
pub(super) struct WriteCondition {
    /// The existing object must have this ETag.
    pub if_match: Option<ETagCondition>,
    /// `*`: no object may exist.
    pub if_none_match: Option<ETagCondition>,
}

impl WriteCondition {
    /// Checks the condition against the existing object's ETag, if there is an object.
    pub(super) fn check(&self, existing: Option<&str>) -> S3Result<()> {
        match &self.if_none_match {
            None => {}
            Some(ETagCondition::Any) if existing.is_none() => {}
            Some(ETagCondition::Any) => {
                return Err(failed("If-None-Match: the object exists"));
            }
            Some(ETagCondition::ETag(_)) => {
                return Err(s3_error!(
                    NotImplemented,
                    "If-None-Match of a write supports only *"
                ));
            }
        }
        match (&self.if_match, existing) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(s3_error!(NoSuchKey, "If-Match: the object does not exist")),
            (Some(condition), Some(etag)) if matches(condition, etag) => Ok(()),
            (Some(_), Some(_)) => Err(failed("If-Match: the object has another ETag")),
        }
    }

    /// Checks the condition of a removal. Removing a missing object always succeeds.
    pub(super) fn check_removal(&self, existing: Option<&str>) -> S3Result<()> {
        match existing {
            Some(etag) => self.check(Some(etag)),
            None => Ok(()),
        }
    }
}

/// The condition of a read or of a copy's source.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadCondition {
    /// The object must have this ETag.
    pub if_match: Option<ETagCondition>,
    /// The object must not have this ETag.
    pub if_none_match: Option<ETagCondition>,
    /// The object must have changed since.
    pub if_modified_since: Option<Timestamp>,
    /// The object must not have changed since.
    pub if_unmodified_since: Option<Timestamp>,
}

enum Outcome {
    Holds,
    Unchanged,
    Failed,
}

impl ReadCondition {
    // A condition on the ETag overrides the one on the time: RFC 9110, section 13.2.2, and S3.
    fn evaluate(&self, etag: &str, modified_ms: i64) -> Outcome {
        // HTTP dates have seconds only.
        let modified = timestamp(modified_ms / 1000 * 1000);
        let failed = match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => !matches(condition, etag),
            (None, Some(since)) => modified > *since,
            (None, None) => false,
        };
        if failed {
            return Outcome::Failed;
        }
        let unchanged = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => matches(condition, etag),
            (None, Some(since)) => modified <= *since,
            (None, None) => false,
        };
        if unchanged {
            Outcome::Unchanged
        } else {
            Outcome::Holds
        }
    }

    /// Checks the condition of a GET or HEAD: 304 if the object is unchanged, 412 if the condition fails.
    pub(super) fn check_read(&self, etag: &str, modified_ms: i64) -> S3Result<()> {
        match self.evaluate(etag, modified_ms) {
            Outcome::Holds => Ok(()),
            Outcome::Failed => Err(failed("the object does not meet the condition")),
            Outcome::Unchanged => {
                let mut error = S3Error::new(S3ErrorCode::NotModified);
                let mut headers = http::HeaderMap::new();
                if let Ok(etag) = ETag::Strong(etag.to_owned()).to_http_header() {
                    headers.insert(http::header::ETAG, etag);
                }
                error.set_headers(headers);
                Err(error)
            }
        }
    }

    /// Checks the condition on the source of a copy: 412 unless it holds.
    pub(super) fn check_source(&self, etag: &str, modified_ms: i64) -> S3Result<()> {
        match self.evaluate(etag, modified_ms) {
            Outcome::Holds => Ok(()),
            Outcome::Unchanged | Outcome::Failed => {
                Err(failed("the copy's source does not meet the condition"))
            }
        }
    }
}

fn matches(condition: &ETagCondition, etag: &str) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(wanted) => wanted.value() == etag,
    }
}

fn failed(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::PreconditionFailed, message)
}
