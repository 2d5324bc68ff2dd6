//! Looking without changing: one upload, a list, a download, statistics, readiness.

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

use super::access::{self, Act};
use super::{Broker, BrokerError, now};

/// Which uploads to list.
#[derive(Debug, Clone, Default)]
pub struct ListUploads {
    /// Only with this status.
    pub status: Option<Status>,
    /// Only for this field.
    pub field: Option<FieldName>,
    /// Only those meant for a record with this id, or attached to it.
    pub object_id: Option<ObjectId>,
    /// Only of this owner.
    pub owner: Option<String>,
    /// Only those created at least this long ago, in seconds.
    pub older_than_secs: Option<u64>,
    /// At most so many.
    pub limit: u32,
    /// Only those before this one: where the former page ended.
    pub before: Option<UploadId>,
}

/// A page of uploads, newest first.
#[derive(Debug)]
pub struct Page {
    /// The uploads.
    pub uploads: Vec<Upload>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<UploadId>,
}

/// Where the bytes of an upload can be read.
pub struct Download {
    /// The URL; presigned, and so a secret, where the field is private.
    pub url: SecretString,
    /// When it ends; `None` for a public URL.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Counts and bytes of one field and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatGroup {
    /// The field.
    pub field: FieldName,
    /// The status.
    pub status: Status,
    /// How many uploads.
    pub count: u64,
    /// Their declared sizes, in bytes.
    pub bytes: u64,
}

/// Statistics over all uploads that the caller's token reaches.
#[derive(Debug, Clone)]
pub struct Stats {
    /// One for each field and status that occurs.
    pub groups: Vec<StatGroup>,
    /// When the oldest pending upload of each field was created.
    pub oldest_pending: Vec<(FieldName, DateTime<Utc>)>,
}

/// Whether new requests should come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// They should if all parts that every request needs answer.
    Parts {
        /// The database answers.
        database: bool,
        /// The bucket answers.
        bucket: bool,
    },
    /// They should not: this broker is about to end.
    Stopping,
}

/// How old an answer of the database and the bucket may be: so often at most anybody can make us ask them.
const REMEMBERED: Duration = Duration::from_secs(1);

/// The last answer of the database and the bucket.
#[derive(Default)]
pub(super) struct Probe {
    last: tokio::sync::Mutex<Option<Probed>>,
    stopping: AtomicBool,
}

#[derive(Clone, Copy)]
struct Probed {
    asked: Instant,
    ended: Instant,
    readiness: Readiness,
}

impl Broker {
    /// One upload.
    pub async fn read(&self, caller: &Principal, id: UploadId) -> Result<Upload, BrokerError> {
        access::check_scopes(caller, Act::Read)?;
        let upload = self.find(id).await?;
        access::check_upload(caller, &upload, Act::Read)?;
        Ok(upload)
    }

    /// Uploads, newest first: a user's own, or everyone's for who may read everyone's.
    pub async fn list(&self, caller: &Principal, query: ListUploads) -> Result<Page, BrokerError> {
        access::check_list(caller)?;
        let owner = match (access::reads_anyones(caller), query.owner) {
            (true, asked) => asked,
            (false, Some(asked)) if asked != caller.owner => {
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
            // One more than asked for tells whether there is a next page.
            limit: query.limit.saturating_add(1),
        };
        let mut uploads = self.0.db.list(filter).await?;
        let more = uploads.len() > query.limit as usize;
        uploads.truncate(query.limit as usize);
        let next = uploads.last().map(|upload| upload.id).filter(|_| more);
        Ok(Page { uploads, next })
    }

    /// The public URL, or a presigned GET where the field is private: short-lived, and served under the file's own name.
    pub async fn download(
        &self,
        caller: &Principal,
        id: UploadId,
    ) -> Result<Download, BrokerError> {
        access::check_scopes(caller, Act::Download)?;
        let upload = self.find(id).await?;
        access::check_upload(caller, &upload, Act::Download)?;
        if let Some(url) = self.public_url_of(&upload) {
            return Ok(Download {
                url: url.into(),
                expires_at: None,
            });
        }
        let readable = matches!(
            upload.status,
            Status::Confirmed | Status::Attached | Status::Detached
        );
        let Some(confirmation) = upload.confirmation.as_ref().filter(|_| readable) else {
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
                .store
                .presign_get(&confirmation.key, &served_as, lifetime_secs, now())?;
        Ok(Download {
            url: presigned.url,
            expires_at: Some(presigned.expires_at),
        })
    }

    /// Counts and bytes by field and status, and the oldest pending.
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

    /// Whether the database and the bucket are there, or were a second ago. Anyone may ask, as often as they like: one probe runs at a
    /// time, and who comes while it runs shares its answer.
    pub async fn readiness(&self) -> Readiness {
        if self.0.probe.stopping.load(Ordering::Relaxed) {
            return Readiness::Stopping;
        }
        let arrived = Instant::now();
        let mut last = self.0.probe.last.lock().await;
        // Its age counts from when they were asked: an answer that took long is no news.
        if let Some(probed) = *last
            && (probed.ended >= arrived || probed.asked.elapsed() < REMEMBERED)
        {
            return probed.readiness;
        }
        let asked = Instant::now();
        let (database, bucket) = tokio::join!(self.0.db.ping(), self.0.store.ping());
        let readiness = Readiness::Parts {
            database: database.is_ok(),
            bucket: bucket.is_ok(),
        };
        *last = Some(Probed {
            asked,
            ended: Instant::now(),
            readiness,
        });
        readiness
    }

    /// From now on [`Broker::readiness`] says that the end is near; every verb goes on.
    pub fn stop_being_ready(&self) {
        self.0.probe.stopping.store(true, Ordering::Relaxed);
    }
}
