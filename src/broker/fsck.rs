//! Fsck: compares the bucket with the database. Each recorded object must exist as recorded, and each object must be recorded.
//!
//! Both sides are read in the order of their keys, a page at a time, so that memory doesn't grow with the bucket. A difference is
//! checked again by its key alone before it becomes a finding: uploads change while this runs, and some stores list in an order of
//! their own. An unclear answer ends the walk and is never a finding.

use std::collections::VecDeque;

use crate::db::KeyOwner;
use crate::domain::ids::UploadId;
use crate::domain::object_key::FinalKey;
use crate::domain::upload::Upload;
use crate::storage::Listed;

use super::removal::RemovalOutcome;
use super::{Broker, BrokerError};

/// The entries of a page of either side.
const PAGE: u32 = 1_000;
/// The most entries of one step.
const STEP: usize = 1_000;

/// How the bucket and the database differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// A recorded object is not in the bucket. It can't be repaired from here.
    Missing,
    /// A recorded object has another size or ETag than recorded.
    Changed,
    /// An object of a deleted upload, or the copy of an abandoned seal attempt.
    Leftover,
    /// An object whose key was made by a broker, but which no row names.
    Unknown,
}

impl Damage {
    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Damage::Missing => "missing",
            Damage::Changed => "changed",
            Damage::Leftover => "leftover",
            Damage::Unknown => "unknown",
        }
    }
}

/// One difference between the bucket and the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The kind.
    pub damage: Damage,
    /// The object's key.
    pub key: String,
    /// The upload that the object belongs to.
    pub upload: Option<UploadId>,
    /// What is wrong, for a person.
    pub detail: String,
    /// Whether it was repaired: its object was removed.
    pub fixed: bool,
    /// Whether it is an unknown object that is older than any upload in progress can be.
    pub outlived: bool,
}

/// A walk over the bucket and the database.
#[derive(Debug, Default)]
pub struct FsckWalk {
    /// Whether leftovers are removed. Unknown objects are removed only after the walk: [`Broker::remove_unknown`].
    pub fix: bool,
    /// Objects checked so far.
    pub objects: u64,
    /// Rows checked so far.
    pub rows: u64,
    /// Objects so far whose keys were not made by a broker; they are ignored.
    pub foreign: u64,
    /// Unknown objects so far.
    pub unknown: u64,
    /// Whether everything was checked.
    ended: bool,
    listed: Side<Listed>,
    recorded: Side<Upload>,
}

impl FsckWalk {
    /// Why unknown objects must be kept, for a person; `None` if they may be removed. Meaningful after the end of the walk. A database
    /// that belongs to another bucket, or that was restored from an old backup, doesn't know objects that are in use: so unknown
    /// objects are removed only if the database knows at least as many as it doesn't.
    pub fn keeps_unknown(&self) -> Option<String> {
        let (unknown, rows) = (self.unknown, self.rows);
        let why = match rows {
            _ if !self.ended => "the walk has not ended".to_owned(),
            0 => "the database records no object of this bucket".to_owned(),
            rows if unknown > rows => format!("the database records only {rows} objects"),
            _ => return None,
        };
        Some(format!(
            "{unknown} unknown objects are kept, because {why}; check that this is the bucket's complete database"
        ))
    }
}

/// One side of the walk: entries read but not yet checked, and the key after which to read on.
#[derive(Debug)]
struct Side<T> {
    ahead: VecDeque<T>,
    after: Option<String>,
    ended: bool,
}

impl<T> Default for Side<T> {
    fn default() -> Side<T> {
        Side {
            ahead: VecDeque::new(),
            after: None,
            ended: false,
        }
    }
}

impl Broker {
    /// Checks about a thousand further entries; `None` at the end of the walk.
    pub async fn fsck(&self, walk: &mut FsckWalk) -> Result<Option<Vec<Finding>>, BrokerError> {
        let mut findings = Vec::new();
        for _ in 0..STEP {
            self.read_ahead(walk).await?;
            let object = walk.listed.ahead.front().map(|it| it.key.as_str());
            let row = walk.recorded.ahead.front().and_then(key_of);
            let (has_object, has_row) = match (object, row) {
                (None, None) => {
                    walk.ended = true;
                    return Ok(Some(findings).filter(|it| !it.is_empty()));
                }
                (object, None) => (object.is_some(), false),
                (None, _) => (false, true),
                (Some(object), Some(row)) => (object <= row, row <= object),
            };
            let object = walk.listed.ahead.pop_front_if(|_| has_object);
            let row = walk.recorded.ahead.pop_front_if(|_| has_row);
            walk.objects += u64::from(object.is_some());
            walk.rows += u64::from(row.is_some());
            let finding = match (object, row) {
                (Some(object), Some(row)) => self.check_pair(&object, &row, walk.fix).await?,
                (Some(object), None) => self.check_object(object, walk).await?,
                (None, Some(row)) => self.check_row(&row, walk.fix).await?,
                (None, None) => None,
            };
            findings.extend(finding);
        }
        Ok(Some(findings))
    }

    async fn read_ahead(&self, walk: &mut FsckWalk) -> Result<(), BrokerError> {
        let listed = &mut walk.listed;
        while listed.ahead.is_empty() && !listed.ended {
            let after = listed.after.as_deref();
            let page = self.0.storage.list_sealed(after, PAGE).await?;
            listed.ended = page.next.is_none();
            listed.after = page.next;
            listed.ahead = page.objects.into();
        }
        let recorded = &mut walk.recorded;
        if recorded.ahead.is_empty() && !recorded.ended {
            let (bucket, after) = (&self.0.options.bucket, recorded.after.as_deref());
            let page = self.0.db.recorded_after(bucket, after, PAGE).await?;
            recorded.ended = page.len() < PAGE as usize;
            recorded.after = page.last().and_then(key_of).map(str::to_owned);
            recorded.ahead = page.into();
        }
        Ok(())
    }

    /// Checks a key that both sides have. The listing is enough if nothing differs.
    async fn check_pair(
        &self,
        object: &Listed,
        row: &Upload,
        fix: bool,
    ) -> Result<Option<Finding>, BrokerError> {
        let recorded = row.confirmation.as_ref().map(|it| &it.etag);
        let same_etag = object.etag.as_ref() == recorded;
        match row.status.has_object() && object.size == row.size && same_etag {
            true => Ok(None),
            false => self.check_row(row, fix).await,
        }
    }

    /// Checks one recorded object by itself, after reading its row again.
    async fn check_row(&self, row: &Upload, fix: bool) -> Result<Option<Finding>, BrokerError> {
        let Some(row) = self.0.db.find_upload(row.id).await? else {
            return Ok(None);
        };
        let Some(confirmation) = &row.confirmation else {
            return Ok(None);
        };
        let seen = self.0.storage.size_and_etag(&confirmation.key).await?;
        let (damage, detail) = match (seen, row.status.has_object()) {
            (None, true) => (Damage::Missing, format!("of a {} upload", row.status)),
            (None, false) => return Ok(None),
            (Some(_), false) => (Damage::Leftover, format!("of a {} upload", row.status)),
            (Some(seen), true) if seen.size != row.size => (
                Damage::Changed,
                format!(
                    "the object has {} bytes, not the recorded {}",
                    seen.size, row.size
                ),
            ),
            (Some(seen), true) if seen.etag != confirmation.etag => (
                Damage::Changed,
                "the object's ETag is not the recorded one".to_owned(),
            ),
            (Some(_), true) => return Ok(None),
        };
        let fixed = fix
            && damage == Damage::Leftover
            && self.remove_objects(&row).await == RemovalOutcome::Gone;
        Ok(Some(Finding {
            damage,
            key: confirmation.key.as_str().to_owned(),
            upload: Some(row.id),
            detail,
            fixed,
            outlived: false,
        }))
    }

    /// Checks an object that no recorded key seemed to name.
    async fn check_object(
        &self,
        object: Listed,
        walk: &mut FsckWalk,
    ) -> Result<Option<Finding>, BrokerError> {
        let bucket = &self.0.options.bucket;
        let Some(name) = self.own_name(&object.key) else {
            walk.foreign += 1;
            return Ok(None);
        };
        // The seal attempt is read first: if a confirm records it in between, the upload is found by the second read.
        let owner = self.0.db.owner_of_key(&object.key).await?;
        if let Some(row) = self.0.db.recorded_at(bucket, &object.key).await? {
            return self.check_row(&row, walk.fix).await;
        }
        let (damage, upload, detail, fixed) = match owner {
            KeyOwner::Attempt => return Ok(None),
            KeyOwner::Abandoned(upload) => {
                let key = FinalKey::recorded(object.key.clone(), name);
                let fixed = walk.fix && self.remove_copy(upload, key).await == RemovalOutcome::Gone;
                let detail = "the copy of an abandoned seal attempt";
                (Damage::Leftover, Some(upload), detail.to_owned(), fixed)
            }
            KeyOwner::None => {
                walk.unknown += 1;
                let detail = match object.age_secs {
                    Some(secs) => format!("{} bytes, {secs} s old", object.size),
                    None => format!("{} bytes, of unknown age", object.size),
                };
                (Damage::Unknown, None, detail, false)
            }
        };
        let oldest = i64::from(self.0.options.sweep.staging_max_age_secs);
        Ok(Some(Finding {
            damage,
            key: object.key,
            upload,
            detail,
            fixed,
            outlived: damage == Damage::Unknown && object.age_secs.is_some_and(|it| it >= oldest),
        }))
    }

    /// Removes an unknown object after the walk, and after reading both tables again. Keeps it if [`FsckWalk::keeps_unknown`] says
    /// so, or if it is young enough to belong to an upload in progress. Sets the finding's `fixed`.
    pub async fn remove_unknown(
        &self,
        walk: &FsckWalk,
        finding: &mut Finding,
    ) -> Result<(), BrokerError> {
        if !finding.outlived || walk.keeps_unknown().is_some() {
            return Ok(());
        }
        let Some(name) = self.own_name(&finding.key) else {
            return Ok(());
        };
        // The seal attempt is read first: if a confirm records it in between, the upload is found by the second read.
        let owner = self.0.db.owner_of_key(&finding.key).await?;
        let bucket = &self.0.options.bucket;
        let row = self.0.db.recorded_at(bucket, &finding.key).await?;
        if owner == KeyOwner::None && row.is_none() {
            let key = FinalKey::recorded(finding.key.clone(), name);
            finding.fixed = self.0.storage.remove_final(&key).await.is_ok();
        }
        Ok(())
    }

    /// The name of an object whose key was made by a broker with these fields; `None` for every other key.
    fn own_name(&self, key: &str) -> Option<String> {
        let options = &self.0.options;
        let name = key.strip_prefix(&options.layout.location)?;
        let mut fields = options.fields.iter();
        let made_here = fields.any(|field| {
            let rest = name.strip_prefix(&field.upload_to);
            rest.is_some_and(FinalKey::is_random_part)
        });
        (made_here && self.0.storage.is_sealed_key(key)).then(|| name.to_owned())
    }
}

fn key_of(upload: &Upload) -> Option<&str> {
    upload.confirmation.as_ref().map(|it| it.key.as_str())
}
