//! Ask for a presigned PUT, and ask again.

use chrono::TimeDelta;

use crate::db::NewUpload;
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::UploadId;
use crate::domain::principal::{Principal, Scope};
use crate::domain::upload::{Difference, Status, Upload};
use crate::policy::admission::{Refusal, RefusalKind, admit};
use crate::policy::evidence::{Declared, Issued};
use crate::store::PresignedRequest;

use super::access::{self, Act};
use super::{Broker, BrokerError, now};

/// The most bytes of an owner.
const MAX_OWNER_BYTES: usize = 255;

/// What a caller declares.
#[derive(Debug, Clone)]
pub struct CreateUpload {
    /// The model field.
    pub field: FieldName,
    /// The client's name for the file.
    pub filename: String,
    /// The content type.
    pub content_type: String,
    /// The size, in bytes.
    pub size: u64,
    /// The algorithm's name and the base64 value.
    pub checksum: Option<(String, String)>,
    /// The record that it is meant for.
    pub object_id: Option<ObjectId>,
    /// On whose behalf, for callers with `uploads:confirm`.
    pub owner: Option<String>,
}

/// A pending upload with a presigned request for it.
pub struct Presented {
    /// The upload.
    pub upload: Upload,
    /// What the client sends.
    pub presigned: PresignedRequest,
}

impl Broker {
    /// Admits a declaration, commits its row, and only then signs a request for it.
    pub async fn create(
        &self,
        caller: &Principal,
        ask: CreateUpload,
    ) -> Result<Presented, BrokerError> {
        let owner = owner_of(caller, ask.owner)?;
        if !caller.reaches(&ask.field) {
            return Err(BrokerError::FieldNotAllowed(ask.field));
        }
        let declared = Declared {
            field: ask.field,
            filename: ask.filename,
            content_type: ask.content_type,
            size: ask.size,
            checksum: ask.checksum,
        };
        let options = &self.0.options;
        let admitted =
            admit(declared, &options.fields, options.proof).map_err(BrokerError::Refused)?;

        let now = now();
        let lifetime_secs = i64::from(admitted.policy().upload_lifetime_secs);
        let new = NewUpload {
            id: UploadId::new(now, &rand::random()),
            owner,
            // A client's word is a hint; a backend's is an instruction.
            attach_at_confirm: ask.object_id.is_some() && caller.has(Scope::AttachmentsWrite),
            object_id: ask.object_id,
            grant: None,
            bucket: options.bucket.clone(),
            created_at: now,
            expires_at: now + TimeDelta::seconds(lifetime_secs),
            admitted,
        };
        let issued = self.0.db.create(new).await?;
        self.0
            .metrics
            .upload_created(issued.upload().field.as_str());
        self.present(issued)
    }

    /// A fresh presigned request for a pending upload, until its deadline.
    pub async fn represign(
        &self,
        caller: &Principal,
        id: UploadId,
    ) -> Result<Presented, BrokerError> {
        access::check_scopes(caller, Act::Presign)?;
        let upload = self.find(id).await?;
        access::check_upload(caller, &upload, Act::Presign)?;
        let overdue = upload.status == Status::Pending && upload.expires_at <= now();
        match Issued::from_row(upload) {
            Ok(_) if overdue => Err(BrokerError::UploadExpired),
            Ok(issued) => self.present(issued),
            Err(upload) if upload.status == Status::Expired => Err(BrokerError::UploadExpired),
            Err(upload) => {
                let detail = "only a pending upload can be presigned again; create a new one";
                Err(BrokerError::WrongStatus {
                    now: upload.status,
                    detail,
                })
            }
        }
    }

    fn present(&self, issued: Issued) -> Result<Presented, BrokerError> {
        // Asked in the deadline's last second, nothing is left to sign for.
        let presigned = match self.0.store.presign_put(&issued, now()) {
            Err(trouble) if trouble.code == "deadline-passed" => {
                return Err(BrokerError::UploadExpired);
            }
            signed => signed?,
        };
        Ok(Presented {
            upload: issued.into_upload(),
            presigned,
        })
    }
}

/// Whose the upload will be: the caller's own, or somebody's on whose behalf a backend asks.
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

fn check_owner(owner: String) -> Result<String, BrokerError> {
    let fits = (1..=MAX_OWNER_BYTES).contains(&owner.len()) && !owner.chars().any(char::is_control);
    if fits {
        return Ok(owner);
    }
    let detail = format!("an owner has 1 to {MAX_OWNER_BYTES} bytes and no control characters");
    let differences = vec![Difference::new("/owner", detail)];
    Err(BrokerError::Refused(Refusal {
        kind: RefusalKind::Invalid,
        differences,
    }))
}
