//! The bucket held against the database, both ways: what is recorded must be there as it was recorded, and what is there must be
//! somebody's.
//!
//! Both sides are walked in the order of their keys, a page at a time, so that memory doesn't grow with the bucket. What differs is
//! looked at again, alone, before it is called a finding: uploads move while this runs, and a store may list in an order of its own.
//! An unclear answer ends the walk and is never a finding.

mod unknown;

use std::collections::VecDeque;

use crate::db::KeyOwner;
use crate::domain::ids::UploadId;
use crate::domain::object_key::FinalKey;
use crate::domain::upload::{Status, Upload};
use crate::storage::Listed;

use super::cleanup::Removal;
use super::{Broker, BrokerError};

/// How many entries of either side are read at once.
const PAGE: u32 = 1_000;
/// How many entries one step looks at, at most.
const STEP: usize = 1_000;

/// How the bucket and the database differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// A recorded object is not in the bucket. Nothing here can bring it back.
    Missing,
    /// A recorded object is not what was recorded.
    Changed,
    /// An object of a deleted upload, or the copy of a given-up seal attempt.
    Leftover,
    /// An object with a key of ours that no row names.
    Unknown,
}

impl Damage {
    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Damage::Missing => "missing",
            Damage::Changed => "changed",
            Damage::Leftover => "leftover",
            Damage::Unknown => "unknown",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub damage: Damage,
    /// The object's key.
    pub key: String,
    /// Whose it is.
    pub upload: Option<UploadId>,
    /// What is wrong, for a person.
    pub detail: String,
    /// Whether it was mended: its object is gone.
    pub fixed: bool,
    /// Whether it is an unknown object that is older than any upload can be under way.
    pub outlived: bool,
}

/// A walk over both sides.
#[derive(Debug, Default)]
pub struct FsckWalk {
    /// Whether leftovers are removed. Unknown objects are judged when all was looked at: [`Broker::remove_unknown`].
    pub fix: bool,
    /// Objects looked at so far.
    pub objects: u64,
    /// Rows looked at so far.
    pub rows: u64,
    /// Objects so far whose keys were not made here; they are nobody's business.
    pub foreign: u64,
    /// Unknown objects so far.
    pub unknown: u64,
    /// Whether all was looked at.
    ended: bool,
    listed: Side<Listed>,
    recorded: Side<Upload>,
}

/// One side: what was read and not yet looked at, and where to read on.
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
    /// Looks at the next thousand entries or so; `None` when all were looked at.
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
                (Some(object), Some(row)) => self.judge_pair(&object, &row, walk.fix).await?,
                (Some(object), None) => self.judge_object(object, walk).await?,
                (None, Some(row)) => self.judge_row(&row, walk.fix).await?,
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
            let page = self.0.store.list_sealed(after, PAGE).await?;
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

    /// Both sides have the key: what the listing tells is enough where nothing differs.
    async fn judge_pair(
        &self,
        object: &Listed,
        row: &Upload,
        fix: bool,
    ) -> Result<Option<Finding>, BrokerError> {
        let recorded = row.confirmation.as_ref().map(|it| &it.etag);
        let same_etag = object.etag.as_ref() == recorded;
        match is_live(row) && object.size == row.size && same_etag {
            true => Ok(None),
            false => self.judge_row(row, fix).await,
        }
    }

    /// Looks at one recorded object, alone, after its row was read again.
    async fn judge_row(&self, row: &Upload, fix: bool) -> Result<Option<Finding>, BrokerError> {
        let Some(row) = self.0.db.find_upload(row.id).await? else {
            return Ok(None);
        };
        let Some(confirmation) = &row.confirmation else {
            return Ok(None);
        };
        let seen = self.0.store.look(&confirmation.key).await?;
        let (damage, detail) = match (seen, is_live(&row)) {
            (None, true) => (Damage::Missing, format!("of a {} upload", row.status)),
            (None, false) => return Ok(None),
            (Some(_), false) => (Damage::Leftover, format!("of a {} upload", row.status)),
            (Some(seen), true) if seen.size != row.size => (
                Damage::Changed,
                format!("it has {} bytes, recorded are {}", seen.size, row.size),
            ),
            (Some(seen), true) if seen.etag != confirmation.etag => (
                Damage::Changed,
                "it has another ETag than recorded".to_owned(),
            ),
            (Some(_), true) => return Ok(None),
        };
        let fixed =
            fix && damage == Damage::Leftover && self.remove_objects(&row).await == Removal::Gone;
        Ok(Some(Finding {
            damage,
            key: confirmation.key.as_str().to_owned(),
            upload: Some(row.id),
            detail,
            fixed,
            outlived: false,
        }))
    }

    /// Looks at an object that no recorded key seemed to name.
    async fn judge_object(
        &self,
        object: Listed,
        walk: &mut FsckWalk,
    ) -> Result<Option<Finding>, BrokerError> {
        let bucket = &self.0.options.bucket;
        let Some(name) = self.own_name(&object.key) else {
            walk.foreign += 1;
            return Ok(None);
        };
        // The attempt first: one that is recorded in between has an upload then.
        let owner = self.0.db.owner_of_key(&object.key).await?;
        if let Some(row) = self.0.db.recorded_at(bucket, &object.key).await? {
            return self.judge_row(&row, walk.fix).await;
        }
        let (damage, upload, detail, fixed) = match owner {
            KeyOwner::Attempt => return Ok(None),
            KeyOwner::GivenUp(upload) => {
                let key = FinalKey::recorded(object.key.clone(), name);
                let fixed = walk.fix && self.remove_copy(upload, key).await == Removal::Gone;
                let detail = "the copy of a seal attempt that was given up";
                (Damage::Leftover, Some(upload), detail.to_owned(), fixed)
            }
            KeyOwner::Nobody => {
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

    /// The name of an object whose key this broker, or one with the same fields, made; `None` for every other key.
    fn own_name(&self, key: &str) -> Option<String> {
        let options = &self.0.options;
        let name = key.strip_prefix(&options.layout.location)?;
        let mut fields = options.fields.iter();
        let made_here = fields.any(|field| {
            let rest = name.strip_prefix(&field.upload_to);
            rest.is_some_and(FinalKey::is_random_part)
        });
        (made_here && self.0.store.is_sealed_key(key)).then(|| name.to_owned())
    }
}

fn key_of(upload: &Upload) -> Option<&str> {
    upload.confirmation.as_ref().map(|it| it.key.as_str())
}

/// Whether the upload's object has to be there.
fn is_live(upload: &Upload) -> bool {
    matches!(
        upload.status,
        Status::Confirmed | Status::Attached | Status::Detached
    )
}
