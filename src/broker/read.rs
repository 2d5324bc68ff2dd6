//! Reads: one upload, a list, a download, statistics, readiness.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;

use crate::db::{Filter, Totals};
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::UploadId;
use crate::domain::principal::{Principal, Scope};
use crate::domain::upload::{Status, Upload};
use crate::storage::ServedAs;

use super::access::{self, Action};
use super::{Broker, BrokerError, now};

/// The filters of a list; an empty one lists every upload.
#[derive(Debug, Clone, Default)]
pub struct ListUploads {
    /// The status.
    pub status: Option<Status>,
    /// The field.
    pub field: Option<FieldName>,
    /// The id of the record that the uploads are meant for or attached to.
    pub object_id: Option<ObjectId>,
    /// The owner.
    pub owner: Option<String>,
    /// The least age, in seconds.
    pub older_than_secs: Option<u64>,
    /// The most uploads on the page.
    pub limit: u32,
    /// The last upload of the previous page.
    pub before: Option<UploadId>,
}

/// A page of uploads, newest first.
#[derive(Debug)]
pub struct Page {
    /// The uploads.
    pub uploads: Vec<Upload>,
    /// The cursor of the next page; `None` on the last one.
    pub next: Option<UploadId>,
}

/// A URL from which an upload's object can be read.
pub struct Download {
    /// The URL. Presigned if the field is private, and therefore a secret.
    pub url: SecretString,
    /// When the URL expires; `None` for a public one.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Counts and bytes of one field and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatGroup {
    /// The field.
    pub field: FieldName,
    /// The status.
    pub status: Status,
    /// The number of uploads.
    pub count: u64,
    /// The sum of their declared sizes, in bytes.
    pub bytes: u64,
}

/// Statistics over all uploads that the caller's token reaches.
#[derive(Debug, Clone)]
pub struct Stats {
    /// One group for each field and status that has uploads.
    pub groups: Vec<StatGroup>,
    /// When the oldest pending upload of each field was created.
    pub oldest_pending: Vec<(FieldName, DateTime<Utc>)>,
}

/// Whether this broker is ready for requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It is ready if the database and the bucket answer.
    Parts {
        /// The database answers.
        database: bool,
        /// The bucket answers.
        bucket: bool,
    },
    /// It is stopping.
    Stopping,
}

/// How long a probe's result is reused: anyone may request readiness, so this bounds how often the probe runs.
const PROBE_LIFETIME: Duration = Duration::from_secs(1);

/// The last probe of the database and the bucket.
#[derive(Default)]
pub(super) struct Probe {
    last: tokio::sync::Mutex<Option<Probed>>,
    stopping: AtomicBool,
}

#[derive(Clone, Copy)]
struct Probed {
    started: Instant,
    ended: Instant,
    readiness: Readiness,
}

impl Broker {
    /// One upload.
    pub async fn read(&self, caller: &Principal, id: UploadId) -> Result<Upload, BrokerError> {
        access::check_scopes(caller, Action::Read)?;
        let upload = self.find(id).await?;
        access::check_upload(caller, &upload, Action::Read)?;
        Ok(upload)
    }

    /// Uploads, newest first. A caller without a scope for every owner's uploads sees only its own.
    pub async fn list(&self, caller: &Principal, query: ListUploads) -> Result<Page, BrokerError> {
        access::check_list(caller)?;
        let owner = match (access::reads_any_owner(caller), query.owner) {
            (true, owner) => owner,
            (false, Some(owner)) if owner != caller.owner => {
                return Ok(Page {
                    uploads: Vec::new(),
                    next: None,
                });
            }
            (false, _) => Some(caller.owner.clone()),
        };
        let oldest = |secs| {
            TimeDelta::try_seconds(i64::try_from(secs).ok()?)
                .and_then(|age| now().checked_sub_signed(age))
        };
        let filter = Filter {
            status: query.status,
            field: query.field,
            model: None,
            object_id: query.object_id,
            owner,
            created_before: query
                .older_than_secs
                .map(|secs| oldest(secs).unwrap_or(DateTime::UNIX_EPOCH)),
            reach: caller.fields.clone(),
            before: query.before,
            // One more than the page holds, to see whether there is a next page.
            limit: query.limit.saturating_add(1),
        };
        let mut uploads = self.0.db.list(filter).await?;
        let more = uploads.len() > query.limit as usize;
        uploads.truncate(query.limit as usize);
        let next = uploads.last().map(|upload| upload.id).filter(|_| more);
        Ok(Page { uploads, next })
    }

    /// The public URL, or a short-lived presigned GET if the field is private; the object is served under the file's own name.
    pub async fn download(
        &self,
        caller: &Principal,
        id: UploadId,
    ) -> Result<Download, BrokerError> {
        access::check_scopes(caller, Action::Download)?;
        let upload = self.find(id).await?;
        access::check_upload(caller, &upload, Action::Download)?;
        if let Some(url) = self.public_url_of(&upload) {
            return Ok(Download {
                url: url.into(),
                expires_at: None,
            });
        }
        let confirmation = upload.confirmation.as_ref();
        let Some(confirmation) = confirmation.filter(|_| upload.status.has_object()) else {
            let detail = "only a confirmed upload can be downloaded";
            return Err(BrokerError::WrongStatus {
                now: upload.status,
                detail,
            });
        };
        self.check_bucket(&upload)?;
        let served_as = ServedAs {
            media_type: upload.content_type,
            filename: &upload.filename,
        };
        let lifetime_secs = self.0.options.download_lifetime_secs;
        let presigned =
            self.0
                .storage
                .presign_get(&confirmation.key, &served_as, lifetime_secs, now())?;
        Ok(Download {
            url: presigned.url,
            expires_at: Some(presigned.expires_at),
        })
    }

    /// Counts and bytes by field and status, and the oldest pending upload of each field.
    pub async fn stats(&self, caller: &Principal) -> Result<Stats, BrokerError> {
        if !caller.has(Scope::Ops) {
            return Err(BrokerError::ScopeInsufficient { needed: "ops" });
        }
        let Totals {
            groups,
            oldest_pending,
        } = self.0.db.stats().await?;
        let reached = |field: &FieldName| caller.reaches(field);
        let groups = groups.into_iter().filter(|group| reached(&group.field));
        Ok(Stats {
            groups: groups
                .map(|g| StatGroup {
                    field: g.field,
                    status: g.status,
                    count: g.count,
                    bytes: g.bytes,
                })
                .collect(),
            oldest_pending: oldest_pending
                .into_iter()
                .filter(|(field, _)| reached(field))
                .collect(),
        })
    }

    /// Whether the database and the bucket answer, or answered within the last second. One probe runs at a time, and requests that
    /// arrive meanwhile share its result.
    pub async fn readiness(&self) -> Readiness {
        if self.0.probe.stopping.load(Ordering::Relaxed) {
            return Readiness::Stopping;
        }
        let arrived = Instant::now();
        let mut last = self.0.probe.last.lock().await;
        // The age counts from the start of the probe, because a slow answer is an old one.
        if let Some(probed) = *last
            && (probed.ended >= arrived || probed.started.elapsed() < PROBE_LIFETIME)
        {
            return probed.readiness;
        }
        let started = Instant::now();
        let (database, bucket) = tokio::join!(self.0.db.ping(), self.0.storage.ping());
        let readiness = Readiness::Parts {
            database: database.is_ok(),
            bucket: bucket.is_ok(),
        };
        *last = Some(Probed {
            started,
            ended: Instant::now(),
            readiness,
        });
        readiness
    }

    /// From now on [`Broker::readiness`] is [`Readiness::Stopping`]; requests are still served.
    pub fn stop_being_ready(&self) {
        self.0.probe.stopping.store(true, Ordering::Relaxed);
    }
}
