//! What operations do by hand: look at an upload again, or give it up; sweep now; deliver again. Nothing here knows more than the
//! workers do; it only need not wait for their time.

use std::time::{Duration, Instant};

use crate::db::{Change, Replay, StatusStep, Transition};
use crate::domain::ids::{EventId, UploadId};
use crate::domain::principal::Principal;
use crate::domain::upload::{ConfirmedBy, Status, Upload};
use crate::policy::admission::RefusalKind;

use super::access::{self, Act};
use super::overview::check_ops;
use super::{Broker, BrokerError, SweepKind, SweepReport, SweepWalk, now};

/// After how long [`Broker::sweep_now`] begins no further kind.
const SWEEP_LIMIT: Duration = Duration::from_secs(20);
/// How many things a batch of it holds at most.
const SWEEP_BATCH: u32 = 100;
/// How many batches of a kind it does at most.
const MOST_BATCHES: u32 = 10;
/// How many dead deliveries one replay makes due again at most.
const MOST_REPLAYED: u32 = 1_000;

/// What is to be delivered again.
#[derive(Debug, Clone, Copy)]
pub enum ReplayWhat {
    /// What was given up, at most a thousand deliveries.
    Dead,
    /// One event.
    Event(EventId),
    /// All events of an upload.
    Upload(UploadId),
}

impl Broker {
    /// The same confirm as everybody's, on behalf of the sweeper: the upload as it is afterwards, pending still if nothing is there.
    pub async fn recheck(&self, caller: &Principal, id: UploadId) -> Result<Upload, BrokerError> {
        let upload = self.operated(caller, id).await?;
        if upload.status != Status::Pending {
            return Ok(upload);
        }
        self.note_operator(caller, id, "re-check").await;
        self.join_confirm(id, ConfirmedBy::Sweeper).await
    }

    /// Gives a pending upload up before its deadline, unless it has arrived: what is there is confirmed or rejected, and only what
    /// the bucket says is absent expires. In another status it stays as it is.
    pub async fn expire(&self, caller: &Principal, id: UploadId) -> Result<Upload, BrokerError> {
        let upload = self.operated(caller, id).await?;
        if upload.status != Status::Pending {
            return Ok(upload);
        }
        self.note_operator(caller, id, "expire").await;
        let upload = self.join_confirm(id, ConfirmedBy::Sweeper).await?;
        if upload.status != Status::Pending {
            return Ok(upload);
        }
        match self.expire_absent(&upload).await? {
            Transition::Moved(moved) => Ok(moved),
            Transition::Stale(current) => Ok(current),
            Transition::Missing => Err(BrokerError::UploadNotFound),
        }
    }

    /// The row's end, for an upload that the bucket has just said nothing of.
    pub(super) async fn expire_absent(&self, upload: &Upload) -> Result<Transition, BrokerError> {
        let change = Change {
            upload: upload.id,
            step: StatusStep::Expire,
            at: now(),
        };
        let transition = self.0.db.move_status(change).await?;
        if let Transition::Moved(moved) = &transition {
            self.count(moved, Status::Pending, ConfirmedBy::Sweeper.as_str());
        }
        Ok(transition)
    }

    /// A few batches of each kind of sweeping, now, one after the other; kinds that would begin after [`SWEEP_LIMIT`] are left out.
    pub async fn sweep_now(
        &self,
        caller: &Principal,
    ) -> Result<Vec<(SweepKind, Result<SweepReport, BrokerError>)>, BrokerError> {
        check_ops(caller)?;
        tracing::info!(by = caller.name(), "a sweep by hand");
        let begun = Instant::now();
        let mut reports = Vec::new();
        for kind in SweepKind::ALL {
            if begun.elapsed() < SWEEP_LIMIT {
                reports.push((kind, self.sweep_some(kind, begun).await));
            }
        }
        Ok(reports)
    }

    /// A few batches of one walk: multipart uploads are listed prefix by prefix, a batch each.
    async fn sweep_some(
        &self,
        kind: SweepKind,
        begun: Instant,
    ) -> Result<SweepReport, BrokerError> {
        let mut walk = SweepWalk::manual(kind, SWEEP_BATCH);
        let mut sum = self.sweep(&mut walk).await?;
        for _ in 1..MOST_BATCHES {
            if !sum.more || begun.elapsed() >= SWEEP_LIMIT {
                break;
            }
            let report = self.sweep(&mut walk).await?;
            sum.counts += report.counts;
            sum.more = report.more;
            sum.cut |= report.cut;
        }
        sum.more |= sum.cut;
        Ok(sum)
    }

    /// Makes deliveries to an endpoint due again. How many it were.
    pub async fn replay(
        &self,
        caller: &Principal,
        endpoint: &str,
        what: ReplayWhat,
        enable: bool,
    ) -> Result<usize, BrokerError> {
        check_ops(caller)?;
        let invalid = |pointer: &str, detail: String| {
            BrokerError::refused(RefusalKind::Invalid, pointer, detail)
        };
        let known = self.0.db.endpoints();
        if !known.iter().any(|name| name == endpoint) {
            let known = match known.is_empty() {
                true => "none is configured".to_owned(),
                false => format!("there are {}", known.join(", ")),
            };
            let detail = format!("no webhook endpoint has this name; {known}");
            return Err(invalid("/endpoint", detail));
        }
        if enable {
            self.0.db.enable_endpoint(endpoint).await?;
        } else if self.0.db.is_disabled(endpoint).await? {
            let detail =
                "the endpoint answered 410 Gone and is disabled; send `enable` to end that";
            return Err(invalid("/enable", detail.to_owned()));
        }
        let (by, now) = (caller.name(), now());
        tracing::info!(by, endpoint, ?what, enable, "a replay by hand");
        let replay = match what {
            ReplayWhat::Dead => Replay::Dead(now, MOST_REPLAYED),
            ReplayWhat::Event(event) => Replay::Event(event),
            ReplayWhat::Upload(upload) => Replay::Upload(upload),
        };
        Ok(self.0.db.replay(endpoint, replay, &by, now).await?)
    }

    async fn operated(&self, caller: &Principal, id: UploadId) -> Result<Upload, BrokerError> {
        access::check_scopes(caller, Act::Operate)?;
        let upload = self.find(id).await?;
        access::check_upload(caller, &upload, Act::Operate)?;
        Ok(upload)
    }
}
