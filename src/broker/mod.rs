//! The verbs: what the life of an upload is made of.
//!
//! `http` and the workers call these and nothing below them. Each verb authorizes its caller, decides by `policy`, acts
//! on the bucket through `store`, and lets `db` have the last word: a status moves there or not at all.

mod access;
mod attach;
mod bucket_notifications;
mod cleanup;
mod confirm;
mod create;
mod error;
mod fsck;
mod gauges;
mod grants;
mod idempotency;
mod manual_actions;
mod overview;
mod read;
mod recount;
mod removal;
mod remove;
mod seal;
mod single_flight;
mod sweep;
mod timeline;

use std::sync::{Arc, Mutex};

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

pub use self::bucket_notifications::NotificationOutcome;
pub use self::create::Presented;
pub use self::error::BrokerError;
pub use self::fsck::{Damage, Finding, FsckWalk};
pub use self::grants::MintGrant;
pub use self::idempotency::IdempotencyKey;
pub use self::manual_actions::ReplayWhat;
pub use self::overview::{FieldFates, Overview};
pub use self::read::{Download, ListUploads, Page, Readiness, StatGroup, Stats};
pub use self::removal::RemovalWalk;
pub use self::sweep::{Counts, SweepKind, SweepOptions, SweepReport, SweepWalk};
pub use crate::db::{
    AtLeast, ConfirmTimes, EndpointState, LogEntry, Outcomes, OverQuota, Rejections,
};
pub use crate::policy::admission::{Refusal, RefusalKind};
pub use crate::policy::evidence::Declared;

use self::bucket_notifications::BucketNotifications;
use self::idempotency::Repeatables;
use self::read::Probe;
use self::single_flight::SingleFlight;

/// What the verbs need to know of the configuration.
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    /// Every field and what it accepts.
    pub fields: FieldPolicies,
    /// The prefixes of the bucket.
    pub layout: Layout,
    /// The bucket that new uploads go to.
    pub bucket: String,
    /// How the bucket proves a checksum.
    pub proof: ChecksumProof,
    /// How many confirms may be at work at once; one more waits for two seconds and is then told to come back.
    pub confirms_in_flight: usize,
    /// How many hints may wait or be at work; one more is [`NotificationOutcome::Full`].
    pub notification_queue_len: usize,
    /// How long a presigned URL to read a private object lives, in seconds.
    pub download_lifetime_secs: u32,
    /// When the sweeper acts.
    pub sweep: SweepOptions,
}

/// The verbs, over one bucket and one database. Clones share everything.
#[derive(Clone)]
pub struct Broker(Arc<Inner>);

struct Inner {
    /// This broker's own among those over one database.
    name: String,
    started_at: DateTime<Utc>,
    options: BrokerOptions,
    db: Db,
    store: Store,
    metrics: Metrics,
    runtime: Handle,
    confirms: SingleFlight<Result<Upload, BrokerError>>,
    notifications: BucketNotifications,
    probe: Probe,
    /// The token of this broker's last recount.
    recounting: Mutex<Option<String>>,
    repeatables: Repeatables,
}

impl Broker {
    /// Puts the verbs over a database and a bucket. Work that outlives its caller runs on `runtime`.
    pub fn new(
        options: BrokerOptions,
        db: Db,
        store: Store,
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
            store,
            metrics,
            runtime,
            confirms,
            notifications,
            probe: Probe::default(),
            recounting: Mutex::default(),
            repeatables: Repeatables::default(),
        }))
    }

    /// The public URL of a confirmed upload's object; `None` before that, after it is gone, and where the field is private.
    pub fn public_url_of(&self, upload: &Upload) -> Option<String> {
        let recorded = matches!(
            upload.status,
            Status::Confirmed | Status::Attached | Status::Detached
        );
        self.check_bucket(upload).ok()?;
        let policy = self.0.options.fields.get(&upload.field)?;
        let confirmation = upload.confirmation.as_ref().filter(|_| recorded)?;
        (policy.visibility == Visibility::Public)
            .then(|| self.0.store.public_url(&confirmation.key))
    }

    /// Whether an upload lies in the bucket that is configured; of any other, nobody here can say or do anything.
    pub fn is_here(&self, upload: &Upload) -> bool {
        upload.bucket == self.0.options.bucket
    }

    /// Refuses to act on an upload of another bucket: what this one says of its key would mean nothing.
    fn check_bucket(&self, upload: &Upload) -> Result<(), BrokerError> {
        if self.is_here(upload) {
            return Ok(());
        }
        let bucket = &upload.bucket;
        Err(BrokerError::bucket(format!(
            "the upload lies in the bucket {bucket}, which is not the configured one"
        )))
    }

    /// Moves a status, and counts it if it moved.
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

    /// The upload with this id, whoever asks; the caller of this decides who may see it.
    async fn find(&self, id: UploadId) -> Result<Upload, BrokerError> {
        self.0
            .db
            .find_upload(id)
            .await?
            .ok_or(BrokerError::UploadNotFound)
    }
}

/// The time in whole microseconds: what both databases can hold.
fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
