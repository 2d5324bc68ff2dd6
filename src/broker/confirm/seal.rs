//! Seal: commit a seal attempt, copy the staged object to its fresh key, inspect the copy, record the key.
//!
//! The process may end after any step: the rows committed before a step let the sweeper find what the step left behind, and a
//! retry uses a new key.

use crate::db::{Confirm, Confirmed, NoteKind, SealAttempt, StatusStep, Transition};
use crate::domain::checksum::{Checksum, ChecksumAlgorithm};
use crate::domain::field::{FieldPolicy, Visibility};
use crate::domain::object_key::FinalKey;
use crate::domain::upload::{ConfirmedBy, FieldError, Status, Upload};
use crate::policy::admission::ChecksumProof;
use crate::policy::evidence::{Observed, SealHeaders, Verified};
use crate::policy::verification::{Doubt, verify};
use crate::storage::CopyAnswer;

use crate::broker::{Broker, BrokerError, now};

/// The most copies that one confirm sends. The second follows only where the first failed quickly and without an answer.
const COPIES_PER_CONFIRM: usize = 2;

impl Broker {
    /// Seals a pending upload; returns the upload as it is afterwards, even if another confirm settled it.
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
            .ok_or_else(|| BrokerError::removed_field(&upload))?;
        self.check_bucket(&upload)?;
        let headers = seal_headers(&upload, &policy);
        let Some(key) = self.copy(&upload, &policy, &headers).await? else {
            // No object: not uploaded yet, or another confirm has settled the upload and removed the staged object.
            return self.find(upload.id).await;
        };
        let observed = self.0.storage.inspect(&key).await?;
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

    /// Copies the staged object to a fresh key; `None` where the bucket says that there is no staged object.
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
            match self
                .0
                .storage
                .seal(&staged, &key, headers, upload.size)
                .await
            {
                CopyAnswer::Copied => return Ok(Some(key)),
                CopyAnswer::SourceMissing => {
                    // Nothing was written, and a client that polls before its PUT must not add a row each time.
                    self.0.db.delete_attempt(upload.id, &key).await?;
                    return Ok(None);
                }
                // The attempt stays open: its copy may still be made, and the sweeper needs the key.
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
                Ok(Some(
                    self.0.storage.hash(key, algorithm, upload.size).await?,
                ))
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
            Transition::Stale(current) => self.settled_before(current, key).await,
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
            Transition::Stale(current) => self.settled_before(current, key).await,
            Transition::Missing => Err(BrokerError::UploadNotFound),
        }
    }

    /// Another change came first, and the attempt is abandoned: its copy is removed.
    async fn settled_before(&self, current: Upload, key: FinalKey) -> Result<Upload, BrokerError> {
        self.remove_copy(current.id, key).await;
        if current.status == Status::Pending {
            // The sweeper abandoned the attempt because its copy was slow. The caller's retry starts a new one.
            return Err(BrokerError::bucket("the seal attempt was abandoned"));
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
            "the bucket returned no checksum although storage.checksum_proof is \"trusted\"; set it to \"none\""
        );
        let problem = format!("the bucket returned no {algorithm} checksum to compare");
        self.note(upload.id, NoteKind::Problem, problem).await;
        if self.0.db.abandon_attempt(upload.id, &key).await? {
            self.remove_copy(upload.id, key).await;
        }
        Err(BrokerError::StoreUnavailable {
            retry_after_secs: 60,
            cause: format!("the bucket returned no {algorithm} checksum"),
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
