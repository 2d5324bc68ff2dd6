//! The work of a confirm: a committed attempt, a copy to its fresh key, a look at that copy, a record of it.
//!
//! Every step can be the last one that this process takes: what is committed before a step is enough for the sweeper to
//! find what the step may have left, and a retry begins with a key of its own.

use crate::db::{Confirm, Confirmed, NoteKind, SealAttempt, StatusStep, Transition};
use crate::domain::checksum::{Checksum, ChecksumAlgorithm};
use crate::domain::field::{FieldPolicy, Visibility};
use crate::domain::object_key::FinalKey;
use crate::domain::upload::{ConfirmedBy, FieldError, Status, Upload};
use crate::policy::admission::ChecksumProof;
use crate::policy::evidence::{Observed, SealHeaders, Verified};
use crate::policy::verification::{Doubt, verify};
use crate::storage::CopyAnswer;

use super::{Broker, BrokerError, now};

/// How many copies one confirm may send: a second one only where the first failed at once, before any answer.
const COPIES_PER_CONFIRM: usize = 2;

impl Broker {
    /// Seals a pending upload; gives back the upload as it is afterwards, whoever moved it.
    pub(super) async fn seal(
        &self,
        upload: Upload,
        by: ConfirmedBy,
    ) -> Result<Upload, BrokerError> {
        let policy = self
            .0
            .options
            .fields
            .get(&upload.field)
            .cloned()
            .ok_or_else(|| BrokerError::gone_field(&upload))?;
        self.check_bucket(&upload)?;
        let headers = seal_headers(&upload, &policy);
        let Some(key) = self.copy(&upload, &policy, &headers).await? else {
            // Not there yet, unless somebody settled the upload and cleaned up meanwhile.
            return self.find(upload.id).await;
        };
        let observed = self.0.store.inspect(&key).await?;
        let hashed = self.hash_if_needed(&upload, &key, &observed).await?;
        let verdict = verify(
            &upload,
            &observed,
            &headers,
            self.0.options.proof,
            hashed.as_ref(),
        );
        match verdict {
            Ok(verified) => self.record(upload, verified, by).await,
            Err(Doubt::Mismatch(errors)) => self.reject(upload, key, errors).await,
            Err(Doubt::Unproven(algorithm)) => self.unproven(upload, key, algorithm).await,
        }
    }

    /// Copies the staged object to a fresh key; `None` where there is surely none.
    async fn copy(
        &self,
        upload: &Upload,
        policy: &FieldPolicy,
        headers: &SealHeaders,
    ) -> Result<Option<FinalKey>, BrokerError> {
        let layout = &self.0.options.layout;
        let staged = layout.staging_key(upload.id);
        let mut sent = 0;
        loop {
            let key = layout.final_key(&policy.upload_to, upload.content_type, &rand::random());
            let attempt = SealAttempt {
                key: key.clone(),
                upload: upload.id,
                at: now(),
            };
            self.0.db.open_attempt(attempt).await?;
            sent += 1;
            match self.0.store.seal(&staged, &key, headers, upload.size).await {
                CopyAnswer::Copied => return Ok(Some(key)),
                CopyAnswer::SourceMissing => {
                    // Nothing was written, and polling before the PUT must not leave a row each time.
                    self.0.db.forget_attempt(upload.id, &key).await?;
                    return Ok(None);
                }
                // The attempt stays open: its copy may still land, and the sweeper must know the key.
                CopyAnswer::Unknown(error) if error.retry_fast && sent < COPIES_PER_CONFIRM => {}
                CopyAnswer::Unknown(error) => {
                    let problem = format!(
                        "the bucket gave no clear answer to the copy: {}",
                        error.code
                    );
                    self.note(upload.id, NoteKind::Problem, problem).await;
                    return Err(error.into());
                }
            }
        }
    }

    async fn hash_if_needed(
        &self,
        upload: &Upload,
        key: &FinalKey,
        observed: &Observed,
    ) -> Result<Option<Checksum>, BrokerError> {
        let algorithm = upload.checksum.as_ref().map(Checksum::algorithm);
        match algorithm {
            Some(algorithm)
                if self.0.options.proof == ChecksumProof::Reading
                    && algorithm != ChecksumAlgorithm::Md5
                    && observed.size == upload.size =>
            {
                Ok(Some(self.0.store.hash(key, algorithm, upload.size).await?))
            }
            _ => Ok(None),
        }
    }

    async fn record(
        &self,
        upload: Upload,
        verified: Verified,
        by: ConfirmedBy,
    ) -> Result<Upload, BrokerError> {
        let key = verified.key().clone();
        let confirm = Confirm {
            verified,
            by,
            attach: self.attach_at_confirm(&upload)?,
            at: now(),
        };
        let Confirmed {
            transition,
            detached,
        } = self.0.db.confirm(confirm).await?;
        match transition {
            Transition::Moved(upload) => {
                let field = &upload.field;
                self.count_step(field, Status::Pending, Status::Confirmed, by.as_str());
                let life = (now() - upload.created_at).to_std().unwrap_or_default();
                self.0.metrics.confirmed_after(field.as_str(), life);
                if upload.status == Status::Attached {
                    self.count_attached(field, detached);
                }
                Ok(upload)
            }
            Transition::Stale(current) => self.lost(current, key).await,
            Transition::Missing => Err(BrokerError::UploadNotFound),
        }
    }

    async fn reject(
        &self,
        upload: Upload,
        key: FinalKey,
        errors: Vec<FieldError>,
    ) -> Result<Upload, BrokerError> {
        let step = StatusStep::Reject {
            errors,
            attempt: key.clone(),
        };
        match self.move_status(&upload, step).await? {
            Transition::Moved(upload) => {
                self.remove_objects_soon(upload.clone()).await;
                Ok(upload)
            }
            Transition::Stale(current) => self.lost(current, key).await,
            Transition::Missing => Err(BrokerError::UploadNotFound),
        }
    }

    /// Somebody else was first, and our attempt is abandoned: only its copy is left to remove.
    async fn lost(&self, current: Upload, key: FinalKey) -> Result<Upload, BrokerError> {
        self.remove_copy(current.id, key).await;
        if current.status == Status::Pending {
            // The sweeper gave the attempt up while its copy was slow; a new one begins with the caller's next try.
            return Err(BrokerError::bucket("the seal attempt was given up"));
        }
        Ok(current)
    }

    async fn unproven(
        &self,
        upload: Upload,
        key: FinalKey,
        algorithm: ChecksumAlgorithm,
    ) -> Result<Upload, BrokerError> {
        tracing::error!(
            upload = %upload.id, %algorithm,
            "the store returned no checksum although storage.checksum_proof = \"trusted\": set it to \"none\""
        );
        let problem = format!("the bucket returned no {algorithm}, so nothing proves the file");
        self.note(upload.id, NoteKind::Problem, problem).await;
        if self.0.db.abandon_attempt(upload.id, &key).await? {
            self.remove_copy(upload.id, key).await;
        }
        Err(BrokerError::StoreUnavailable {
            retry_after_secs: 60,
            cause: format!("the store returned no {algorithm}"),
        })
    }
}

fn seal_headers(upload: &Upload, policy: &FieldPolicy) -> SealHeaders {
    let headers = SealHeaders::of(upload.content_type);
    if policy.visibility == Visibility::Public {
        headers.public()
    } else {
        headers
    }
}
