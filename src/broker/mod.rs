//! The use cases of an upload: create, confirm, attach, remove, read, sweep, check.
//!
//! `http` and `workers` call the broker and nothing below it. A use case authorizes its caller, decides by `policy`, acts on the
//! bucket through `storage`, and records the result in `db`, where every status change is a compare-and-set.

mod access;
mod attach;
mod confirm;
mod counter_check;
mod create;
mod error;
mod fsck;
mod grants;
mod idempotency;
mod ops;
mod read;
mod removal;
mod sweep;

use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, Utc};
use tokio::runtime::Handle;

use crate::db::{Change, Db, StatusStep, Transition};
use crate::domain::field::{FieldName, FieldPolicies, Visibility};
use crate::domain::ids::{UploadId, random_text};
use crate::domain::object_key::Layout;
use crate::domain::upload::{Status, Upload};
use crate::policy::admission::ChecksumProof;
use crate::storage::Store;
use crate::telemetry::metrics::Metrics;

pub use self::confirm::bucket_notifications::NotificationOutcome;
pub use self::create::Presented;
pub use self::error::BrokerError;
pub use self::fsck::{Damage, Finding, FsckWalk};
pub use self::grants::MintGrant;
pub use self::idempotency::IdempotencyKey;
pub use self::ops::manual_actions::ReplayWhat;
pub use self::ops::overview::{FieldCounts, Overview};
pub use self::read::{Download, ListUploads, Page, Readiness, StatGroup, Stats};
pub use self::removal::RemovalWalk;
pub use self::sweep::{Counts, SweepKind, SweepOptions, SweepReport, SweepWalk};
pub use crate::db::{
    AtLeast, ConfirmTimes, Counter, CounterCheck, CounterDifference, EndpointState, Outcomes,
    OverQuota, Rejections, TimelineEntry,
};
pub use crate::policy::admission::{Refusal, RefusalKind};
pub use crate::policy::evidence::Declared;

use self::confirm::bucket_notifications::BucketNotifications;
use self::confirm::single_flight::SingleFlight;
use self::idempotency::RequestsInProgress;
use self::read::Probe;

/// The part of the configuration that the use cases need.
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    /// The configured fields and what each accepts.
    pub fields: FieldPolicies,
    /// The bucket's prefixes.
    pub layout: Layout,
    /// The bucket for new uploads.
    pub bucket: String,
    /// How the bucket proves a checksum.
    pub proof: ChecksumProof,
    /// The most concurrent confirms. A further one waits for at most two seconds, and is then refused as unavailable.
    pub confirms_in_flight: usize,
    /// The most bucket notifications that wait or are processed; a further one is [`NotificationOutcome::Full`].
    pub notification_queue_len: usize,
    /// The lifetime of a presigned URL that reads a private object, in seconds.
    pub download_lifetime_secs: u32,
    /// The sweeper's times.
    pub sweep: SweepOptions,
}

/// The use cases, over one bucket and one database. Clones share everything.
#[derive(Clone)]
pub struct Broker(Arc<Inner>);

struct Inner {
    /// A random name, unique among the brokers over one database.
    name: String,
    started_at: DateTime<Utc>,
    options: BrokerOptions,
    db: Db,
    storage: Store,
    metrics: Metrics,
    runtime: Handle,
    confirms: SingleFlight<Result<Upload, BrokerError>>,
    notifications: BucketNotifications,
    probe: Probe,
    in_progress: RequestsInProgress,
}

impl Broker {
    /// The use cases over this database and this bucket. Work that outlives its caller runs on `runtime`.
    pub fn new(
        options: BrokerOptions,
        db: Db,
        storage: Store,
        metrics: Metrics,
        runtime: Handle,
    ) -> Broker {
        let confirms = SingleFlight::new(runtime.clone(), options.confirms_in_flight);
        let notifications =
            BucketNotifications::new(options.notification_queue_len, options.confirms_in_flight);
        Broker(Arc::new(Inner {
            name: random_text(&rand::random()),
            started_at: now(),
            options,
            db,
            storage,
            metrics,
            runtime,
            confirms,
            notifications,
            probe: Probe::default(),
            in_progress: RequestsInProgress::default(),
        }))
    }

    /// The public URL of an upload's object; `None` if the upload has no sealed object, or its field is private.
    pub fn public_url_of(&self, upload: &Upload) -> Option<String> {
        self.check_bucket(upload).ok()?;
        let policy = self.0.options.fields.get(&upload.field)?;
        let confirmation = upload.confirmation.as_ref();
        let confirmation = confirmation.filter(|_| upload.status.has_object())?;
        (policy.visibility == Visibility::Public)
            .then(|| self.0.storage.public_url(&confirmation.key))
    }

    /// Whether the upload lies in the configured bucket, the only one that this broker can act on.
    pub fn is_here(&self, upload: &Upload) -> bool {
        upload.bucket == self.0.options.bucket
    }

    /// Refuses an upload of another bucket: an answer of this bucket about its key would mean nothing.
    fn check_bucket(&self, upload: &Upload) -> Result<(), BrokerError> {
        if self.is_here(upload) {
            return Ok(());
        }
        let bucket = &upload.bucket;
        Err(BrokerError::bucket(format!(
            "the upload lies in the bucket {bucket}, which is not the configured one"
        )))
    }

    /// Changes an upload's status, and counts the change in the metrics.
    async fn move_status(
        &self,
        upload: &Upload,
        step: StatusStep,
    ) -> Result<Transition, BrokerError> {
        let (upload, from, at) = (upload.id, upload.status, now());
        let change = Change { upload, step, at };
        let outcome = self.0.db.move_status(change).await?;
        if let Transition::Moved(moved) = &outcome {
            self.count(moved, from, "");
        }
        Ok(outcome)
    }

    fn count(&self, moved: &Upload, from: Status, by: &str) {
        self.count_step(&moved.field, from, moved.status, by);
        let field = moved.field.as_str();
        for error in &moved.errors {
            let reason = error.pointer.trim_start_matches('/');
            self.0.metrics.rejected(field, reason);
        }
    }

    fn count_step(&self, field: &FieldName, from: Status, to: Status, by: &str) {
        let (field, from, to) = (field.as_str(), from.as_str(), to.as_str());
        self.0.metrics.transition(field, from, to, by);
    }

    /// The upload with this id, without an access check.
    async fn find(&self, id: UploadId) -> Result<Upload, BrokerError> {
        self.0
            .db
            .find_upload(id)
            .await?
            .ok_or(BrokerError::UploadNotFound)
    }
}

/// The time in whole microseconds, the precision of both databases.
fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
