//! Attach an upload to a record, detach it, list the attachments of a record.

use crate::db::{Attach, AttachTo, Attached, Detach, Filter, Transition};
use crate::domain::attachment::ObjectId;
use crate::domain::field::{Cardinality, FieldName};
use crate::domain::ids::UploadId;
use crate::domain::principal::Principal;
use crate::domain::upload::{Status, Upload};

use super::access::{self, Action};
use super::idempotency::IdempotencyKey;
use super::{Broker, BrokerError, now};

/// The most uploads in a list of one record's attachments.
const MAX_ATTACHMENTS: u32 = 1_000;
/// How long a detached upload's object is kept if its field is no longer configured, in seconds.
const REMOVAL_GRACE_SECS: u32 = 86_400;

impl Broker {
    /// Attaches a confirmed upload to a record. On a field of cardinality `one` the record's previous upload is detached in the same
    /// transaction. An upload that is attached to this record already is returned as it is, as is that of a repeated request.
    pub async fn attach(
        &self,
        caller: &Principal,
        id: UploadId,
        object_id: ObjectId,
        key: Option<IdempotencyKey>,
    ) -> Result<Upload, BrokerError> {
        access::check_scopes(caller, Action::Attach)?;
        let upload = self.find(id).await?;
        access::check_upload(caller, &upload, Action::Attach)?;
        let to = self.attach_to(&upload, object_id)?;
        let route = format!("POST /v1/uploads/{id}/attach");
        let request = self.start_keyed(caller, &route, key)?;
        let at = now();
        let attach = Attach {
            upload: id,
            to,
            at,
            idempotency: request.as_ref().map(|it| it.claim(id.to_string(), at)),
        };
        match self.0.db.attach(attach).await? {
            Attached::Moved { upload, detached } => {
                self.count_attached(&upload.field, detached);
                Ok(upload)
            }
            Attached::Already(upload) | Attached::Repeated(upload) => Ok(upload),
            Attached::OtherBody => Err(BrokerError::IdempotencyKeyReused),
            Attached::Stale(upload) => Err(not_attachable(upload.status)),
            Attached::Missing => Err(BrokerError::UploadNotFound),
        }
    }

    /// Detaches an upload from its record; its object is removed after the grace. A detached upload is returned as it is.
    pub async fn detach(&self, caller: &Principal, id: UploadId) -> Result<Upload, BrokerError> {
        access::check_scopes(caller, Action::Attach)?;
        let upload = self.find(id).await?;
        access::check_upload(caller, &upload, Action::Attach)?;
        let from = match (&upload.status, &upload.object_id) {
            (Status::Attached, Some(object_id)) => (upload.field.clone(), object_id.clone()),
            _ => return not_detachable(upload),
        };
        let policy = self.0.options.fields.get(&upload.field);
        let detach = Detach {
            upload: id,
            from,
            removal_grace_secs: policy
                .map_or(REMOVAL_GRACE_SECS, |policy| policy.removal_grace_secs),
            at: now(),
        };
        match self.0.db.detach(detach).await? {
            Transition::Moved(upload) => {
                self.count(&upload, Status::Attached, "");
                Ok(upload)
            }
            Transition::Stale(upload) => not_detachable(upload),
            Transition::Missing => Err(BrokerError::UploadNotFound),
        }
    }

    /// The uploads attached to a record in any of its fields, newest first, at most 1,000. A caller without a scope for every
    /// owner's uploads sees only its own.
    pub async fn attachments(
        &self,
        caller: &Principal,
        model: String,
        object_id: ObjectId,
    ) -> Result<Vec<Upload>, BrokerError> {
        access::check_list(caller)?;
        self.check_model(&model)?;
        let own = (!access::reads_any_owner(caller)).then(|| caller.owner.clone());
        let filter = Filter {
            status: Some(Status::Attached),
            model: Some(model),
            object_id: Some(object_id),
            owner: own,
            reach: caller.fields.clone(),
            limit: MAX_ATTACHMENTS,
            ..Filter::default()
        };
        Ok(self.0.db.list(filter).await?)
    }

    /// The record to which a confirm attaches this upload, if any.
    pub(super) fn attach_at_confirm(
        &self,
        upload: &Upload,
    ) -> Result<Option<AttachTo>, BrokerError> {
        let record = upload.object_id.as_ref();
        let record = record.filter(|_| upload.attach_at_confirm);
        record
            .map(|object_id| self.attach_to(upload, object_id.clone()))
            .transpose()
    }

    fn attach_to(&self, upload: &Upload, object_id: ObjectId) -> Result<AttachTo, BrokerError> {
        let policy = self.0.options.fields.get(&upload.field);
        let policy = policy.ok_or_else(|| BrokerError::removed_field(upload))?;
        Ok(AttachTo {
            field: upload.field.clone(),
            object_id,
            replaces: policy.cardinality == Cardinality::One,
            removal_grace_secs: policy.removal_grace_secs,
        })
    }

    /// Counts an attach and the detaches that came with it.
    pub(super) fn count_attached(&self, field: &FieldName, detached: usize) {
        self.count_step(field, Status::Confirmed, Status::Attached, "");
        for _ in 0..detached {
            self.count_step(field, Status::Attached, Status::Detached, "");
        }
    }

    /// Refuses a model that no field has: an empty list would hide a misspelling.
    fn check_model(&self, model: &str) -> Result<(), BrokerError> {
        let mut known: Vec<&str> = Vec::new();
        for policy in self.0.options.fields.iter() {
            let name = policy.name.model();
            if name == model {
                return Ok(());
            }
            if known.last() != Some(&name) {
                known.push(name);
            }
        }
        Err(BrokerError::UnknownModel {
            known: known.join(", "),
        })
    }
}

/// The error for attaching an upload in this status.
fn not_attachable(now: Status) -> BrokerError {
    let detail = match now {
        Status::Attached => return BrokerError::AlreadyAttached,
        Status::Pending => "only a confirmed upload can be attached; confirm it first",
        _ => "only a confirmed upload can be attached; create a new one",
    };
    BrokerError::WrongStatus { now, detail }
}

/// The result of detaching an upload that isn't attached: a detached one needs no change.
fn not_detachable(upload: Upload) -> Result<Upload, BrokerError> {
    if upload.status == Status::Detached {
        return Ok(upload);
    }
    Err(BrokerError::WrongStatus {
        now: upload.status,
        detail: "only an attached upload can be detached",
    })
}
