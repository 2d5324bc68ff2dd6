//! Creating an upload with a presigned PUT, and presigning it again.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{Committed, Created, DbError, Issued, NewUpload, NotCreated, NoteKind};
use crate::domain::grant::Grant;
use crate::domain::ids::UploadId;
use crate::domain::principal::{Principal, Scope};
use crate::domain::upload::{Status, Upload};
use crate::policy::admission::{RefusalKind, admit};
use crate::policy::evidence::Declared;
use crate::storage::{PresignError, PresignedRequest};

use super::access::{self, Action};
use super::idempotency::{IdempotencyKey, KeyedRequest};
use super::{Broker, BrokerError, now};

/// The most bytes of an owner.
const MAX_OWNER_BYTES: usize = 255;

/// An upload and its presigned request.
pub struct Presented {
    /// The upload.
    pub upload: Upload,
    /// What the client sends. `None` where a repeated request finds its upload no longer pending, or past its deadline.
    pub presigned: Option<PresignedRequest>,
}

/// An upload that waits for its commit.
struct Begun<F> {
    creation: F,
    at: DateTime<Utc>,
    /// Refuses another request with the same idempotency key until this is dropped.
    _request: Option<KeyedRequest>,
}

impl Broker {
    /// Admits a declaration, commits its row, and only then signs a request for it. A repeated request, by its idempotency key,
    /// returns the same upload as it is by then.
    pub async fn create(
        &self,
        caller: &Principal,
        declared: Declared,
        key: Option<IdempotencyKey>,
    ) -> Result<Presented, BrokerError> {
        let owner = owner_of(caller, declared.owner.clone())?;
        if !caller.reaches(&declared.field) {
            return Err(BrokerError::FieldNotAllowed(declared.field));
        }
        let grant = match caller.grant {
            // Boxed, so that a future for the rare case doesn't enlarge every request's.
            Some(id) => Some(Box::pin(self.grant_for(id, &declared)).await?),
            None => None,
        };
        let begun = self.begin(caller, owner, declared, grant, key)?;
        self.present_created(begun.creation.await?, begun.at)
    }

    /// The steps before the commit. Not async, because an async function's future would hold their locals.
    fn begin(
        &self,
        caller: &Principal,
        owner: String,
        declared: Declared,
        grant: Option<Grant>,
        key: Option<IdempotencyKey>,
    ) -> Result<Begun<impl Future<Output = Result<Created, DbError>>>, BrokerError> {
        let record = declared.object_id.clone();
        let admitted = admit(declared, &self.0.options.fields, self.0.options.proof)
            .map_err(BrokerError::Refused)?;

        let at = now();
        let lifetime_secs = i64::from(admitted.policy().upload_lifetime_secs);
        // A client's object_id is a hint; a backend's, in a request or in a grant, is an instruction.
        let instructed = record.is_some() && caller.has(Scope::AttachmentsWrite);
        let granted = grant.and_then(|grant| grant.object_id);
        let new = NewUpload {
            id: UploadId::new(at, &rand::random()),
            owner,
            attach_at_confirm: instructed || granted.is_some(),
            object_id: granted.or(record),
            grant: caller.grant,
            bucket: self.0.options.bucket.clone(),
            created_at: at,
            expires_at: at + TimeDelta::seconds(lifetime_secs),
            admitted,
        };
        let request = self.start_keyed(caller, "POST /v1/uploads", key)?;
        let claim = request
            .as_ref()
            .map(|request| request.claim(new.id.to_string(), at));
        Ok(Begun {
            creation: self.0.db.create(new, claim),
            at,
            _request: request,
        })
    }

    /// Signs for a committed upload, or returns why there is none.
    fn present_created(
        &self,
        creation: Created,
        at: DateTime<Utc>,
    ) -> Result<Presented, BrokerError> {
        match creation {
            Ok(issued) => {
                let field = issued.upload().field.as_str();
                self.0.metrics.upload_created(field);
                self.present_as_it_is(Committed::Pending(issued))
            }
            Err(NotCreated::Repeated(found)) => self.present_as_it_is(*found),
            Err(NotCreated::OtherBody) => Err(BrokerError::IdempotencyKeyReused),
            Err(NotCreated::OverQuota(over)) => Err(BrokerError::OverQuota(over)),
            Err(NotCreated::GrantOver) => Err(BrokerError::GrantOver),
            Err(NotCreated::UsedUp(until)) => {
                let left_secs = (until - at).num_seconds().max(1);
                Err(BrokerError::GrantUsedUp {
                    retry_after_secs: u32::try_from(left_secs).unwrap_or(u32::MAX),
                })
            }
        }
    }

    /// A fresh presigned request for a pending upload, until its deadline.
    pub async fn represign(
        &self,
        caller: &Principal,
        id: UploadId,
    ) -> Result<Presented, BrokerError> {
        access::check_scopes(caller, Action::Presign)?;
        let found = self.0.db.find_committed(id).await?;
        let found = found.ok_or(BrokerError::UploadNotFound)?;
        access::check_upload(caller, found.upload(), Action::Presign)?;
        match found {
            Committed::Pending(issued) if issued.upload().expires_at > now() => {
                let presented = self.present(issued)?;
                let detail = "a fresh request for the same upload".to_owned();
                self.note(id, NoteKind::Represigned, detail).await;
                Ok(presented)
            }
            Committed::Pending(_) => Err(BrokerError::UploadExpired),
            Committed::Settled(upload) if upload.status == Status::Expired => {
                Err(BrokerError::UploadExpired)
            }
            Committed::Settled(upload) => Err(BrokerError::WrongStatus {
                now: upload.status,
                detail: "only a pending upload can be presigned again; create a new one",
            }),
        }
    }

    /// The upload, with a presigned request if it is pending and its deadline has not passed.
    fn present_as_it_is(&self, found: Committed) -> Result<Presented, BrokerError> {
        match found {
            Committed::Pending(issued) if issued.upload().expires_at > now() => {
                self.present(issued)
            }
            Committed::Pending(issued) => Ok(Presented {
                upload: issued.into_upload(),
                presigned: None,
            }),
            Committed::Settled(upload) => Ok(Presented {
                upload,
                presigned: None,
            }),
        }
    }

    fn present(&self, issued: Issued) -> Result<Presented, BrokerError> {
        let signed = self.0.storage.presign_put(&issued, now());
        let presigned = signed.map_err(|error| match error {
            PresignError::DeadlinePassed => BrokerError::UploadExpired,
            PresignError::Store(error) => error.into(),
        })?;
        Ok(Presented {
            upload: issued.into_upload(),
            presigned: Some(presigned),
        })
    }
}

/// The upload's owner: the caller, or the owner that a backend names.
fn owner_of(caller: &Principal, asked: Option<String>) -> Result<String, BrokerError> {
    match asked {
        None if caller.has(Scope::UploadsWrite) => Ok(caller.owner.clone()),
        None if caller.has(Scope::UploadsConfirm) => Err(BrokerError::ScopeInsufficient {
            needed: "uploads:write for an upload of your own; with uploads:confirm, name the `owner` that it is for",
        }),
        Some(owner) if caller.has(Scope::UploadsConfirm) => check_owner(owner),
        None => Err(BrokerError::ScopeInsufficient {
            needed: "uploads:write",
        }),
        Some(_) => Err(BrokerError::ScopeInsufficient {
            needed: "uploads:confirm, to create on behalf of an `owner`",
        }),
    }
}

/// Checks the length and the characters of an owner.
pub(super) fn check_owner(owner: String) -> Result<String, BrokerError> {
    let fits = (1..=MAX_OWNER_BYTES).contains(&owner.len()) && !owner.chars().any(char::is_control);
    if fits {
        return Ok(owner);
    }
    let detail = format!("an owner has 1 to {MAX_OWNER_BYTES} bytes and no control characters");
    Err(BrokerError::refused(RefusalKind::Invalid, "/owner", detail))
}
