//! The conditions of requests: `If-Match` and its relatives, on writes, on reads and on the source of a copy.

use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::index::objects::ObjectRow;
use super::meta::timestamp;

/// Under which condition a key may be written or removed.
#[derive(Debug, Clone, Default)]
pub(super) struct WriteCondition {
    /// The object that is there must be this one.
    pub if_match: Option<ETagCondition>,
    /// `*`: no object may be there.
    pub if_none_match: Option<ETagCondition>,
}

impl WriteCondition {
    /// Judges the condition on a key whose object has this ETag, or has none.
    pub(super) fn check(&self, existing: Option<&str>) -> S3Result<()> {
        match &self.if_none_match {
            None => {}
            Some(ETagCondition::Any) if existing.is_none() => {}
            Some(ETagCondition::Any) => {
                return Err(failed("If-None-Match: the object is there already"));
            }
            Some(ETagCondition::ETag(_)) => {
                return Err(s3_error!(
                    NotImplemented,
                    "If-None-Match of a write takes * only"
                ));
            }
        }
        match (&self.if_match, existing) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(s3_error!(NoSuchKey, "If-Match: there is no object")),
            (Some(condition), Some(etag)) if names(condition, etag) => Ok(()),
            (Some(_), Some(_)) => Err(failed("If-Match: the object is another one")),
        }
    }

    /// Judges the condition of a removal: what is not there may always be removed.
    pub(super) fn check_removal(&self, existing: Option<&str>) -> S3Result<()> {
        match existing {
            Some(etag) => self.check(Some(etag)),
            None => Ok(()),
        }
    }
}

/// Under which condition an object may be read or copied.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadCondition {
    /// The object must be this one.
    pub if_match: Option<ETagCondition>,
    /// The object must not be this one.
    pub if_none_match: Option<ETagCondition>,
    /// The object must have changed since.
    pub if_modified_since: Option<Timestamp>,
    /// The object must not have changed since.
    pub if_unmodified_since: Option<Timestamp>,
}

enum Verdict {
    Holds,
    Unchanged,
    Failed,
}

impl ReadCondition {
    // An ETag's condition overrides its time's: RFC 9110, section 13.2.2, and S3 alike.
    fn judge(&self, row: &ObjectRow) -> Verdict {
        // HTTP dates have seconds only.
        let modified = timestamp(row.modified_ms / 1000 * 1000);
        let failed = match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => !names(condition, &row.etag),
            (None, Some(since)) => modified > *since,
            (None, None) => false,
        };
        if failed {
            return Verdict::Failed;
        }
        let unchanged = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => names(condition, &row.etag),
            (None, Some(since)) => modified <= *since,
            (None, None) => false,
        };
        if unchanged {
            Verdict::Unchanged
        } else {
            Verdict::Holds
        }
    }

    /// Judges the condition of a GET or HEAD: 304 where the client has it already, 412 where it wants another one.
    pub(super) fn check_read(&self, row: &ObjectRow) -> S3Result<()> {
        match self.judge(row) {
            Verdict::Holds => Ok(()),
            Verdict::Failed => Err(failed("the object is not the one that was asked for")),
            Verdict::Unchanged => {
                let mut error = S3Error::new(S3ErrorCode::NotModified);
                let mut headers = http::HeaderMap::new();
                if let Ok(etag) = ETag::Strong(row.etag.clone()).to_http_header() {
                    headers.insert(http::header::ETAG, etag);
                }
                error.set_headers(headers);
                Err(error)
            }
        }
    }

    /// Judges the condition on the source of a copy: 412 unless it holds.
    pub(super) fn check_source(&self, row: &ObjectRow) -> S3Result<()> {
        match self.judge(row) {
            Verdict::Holds => Ok(()),
            Verdict::Unchanged | Verdict::Failed => Err(failed(
                "the copy's source is not the one that was asked for",
            )),
        }
    }
}

fn names(condition: &ETagCondition, etag: &str) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(wanted) => wanted.value() == etag,
    }
}

fn failed(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::PreconditionFailed, message)
}
