//! Manual actions of an operator: re-check or expire an upload, sweep now, replay webhook deliveries. They do what the workers do,
//! without waiting for the next round.

use std::time::{Duration, Instant};

use crate::db::{Change, Replay, StatusStep, Transition};
use crate::domain::ids::{EventId, UploadId};
use crate::domain::principal::Principal;
use crate::domain::upload::{ConfirmedBy, Status, Upload};
use crate::policy::admission::RefusalKind;

use crate::broker::access::{self, Action};
use crate::broker::{Broker, BrokerError, SweepKind, SweepReport, SweepWalk, now};

/// The time after which [`Broker::sweep_now`] starts no further batch.
const SWEEP_LIMIT: Duration = Duration::from_secs(20);
/// The most items in one of its batches.
const SWEEP_BATCH: u32 = 100;
/// The most batches of one kind.
const MAX_BATCHES: u32 = 10;
/// The most dead deliveries that one request replays.
const MAX_REPLAYED: u32 = 1_000;

/// Which deliveries to replay.
#[derive(Debug, Clone, Copy)]
pub enum ReplayWhat {
    /// Dead deliveries, at most a thousand.
    Dead,
    /// One event.
    Event(EventId),
    /// All events of an upload.
    Upload(UploadId),
}

impl Broker {
    /// Confirms a pending upload as the sweeper does; returns it as it is afterwards, still pending if it has no object.
    pub async fn recheck(&self, caller: &Principal, id: UploadId) -> Result<Upload, BrokerError> {
        let upload = self.find_for_operator(caller, id).await?;
        if upload.status != Status::Pending {
            return Ok(upload);
        }
        self.note_operator(caller, id, "re-check").await;
        self.join_confirm(id, ConfirmedBy::Sweeper).await
    }

    /// Expires a pending upload before its deadline. An upload that has an object is confirmed or rejected instead; only one that
    /// the bucket reports as absent expires. An upload in another status stays as it is.
    pub async fn expire(&self, caller: &Principal, id: UploadId) -> Result<Upload, BrokerError> {
        let upload = self.find_for_operator(caller, id).await?;
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

    /// Expires an upload whose object the bucket has just reported as absent.
    pub(in crate::broker) async fn expire_absent(
        &self,
        upload: &Upload,
    ) -> Result<Transition, BrokerError> {
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

    /// Runs a few batches of each kind of sweep, one kind after the other. Kinds that would start after [`SWEEP_LIMIT`] are left out.
    pub async fn sweep_now(
        &self,
        caller: &Principal,
    ) -> Result<Vec<(SweepKind, Result<SweepReport, BrokerError>)>, BrokerError> {
        access::check_ops(caller)?;
        tracing::info!(by = caller.name(), "manual sweep");
        let started = Instant::now();
        let mut reports = Vec::new();
        for kind in SweepKind::ALL {
            if started.elapsed() < SWEEP_LIMIT {
                reports.push((kind, self.sweep_batches(kind, started).await));
            }
        }
        Ok(reports)
    }

    /// A few batches of one walk. Several are needed because multipart uploads are listed one prefix a batch.
    async fn sweep_batches(
        &self,
        kind: SweepKind,
        started: Instant,
    ) -> Result<SweepReport, BrokerError> {
        let mut walk = SweepWalk::manual(kind, SWEEP_BATCH);
        let mut sum = self.sweep(&mut walk).await?;
        for _ in 1..MAX_BATCHES {
            if !sum.more || started.elapsed() >= SWEEP_LIMIT {
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

    /// Makes deliveries to an endpoint due again; returns how many.
    pub async fn replay(
        &self,
        caller: &Principal,
        endpoint: &str,
        what: ReplayWhat,
        enable: bool,
    ) -> Result<usize, BrokerError> {
        access::check_ops(caller)?;
        let invalid = |pointer: &str, detail: String| {
            BrokerError::refused(RefusalKind::Invalid, pointer, detail)
        };
        let known = self.0.db.endpoints();
        if !known.iter().any(|name| name == endpoint) {
            let known = match known.is_empty() {
                true => "none is configured".to_owned(),
                false => format!("the endpoints are {}", known.join(", ")),
            };
            let detail = format!("no webhook endpoint has this name; {known}");
            return Err(invalid("/endpoint", detail));
        }
        if enable {
            self.0.db.enable_endpoint(endpoint).await?;
        } else if self.0.db.is_disabled(endpoint).await? {
            let detail = "the endpoint answered 410 Gone and is disabled; set `enable` to true to enable it again";
            return Err(invalid("/enable", detail.to_owned()));
        }
        let (by, now) = (caller.name(), now());
        tracing::info!(by, endpoint, ?what, enable, "manual replay");
        let replay = match what {
            ReplayWhat::Dead => Replay::Dead(now, MAX_REPLAYED),
            ReplayWhat::Event(event) => Replay::Event(event),
            ReplayWhat::Upload(upload) => Replay::Upload(upload),
        };
        Ok(self.0.db.replay(endpoint, replay, &by, now).await?)
    }

    async fn find_for_operator(
        &self,
        caller: &Principal,
        id: UploadId,
    ) -> Result<Upload, BrokerError> {
        access::check_scopes(caller, Action::Operate)?;
        let upload = self.find(id).await?;
        access::check_upload(caller, &upload, Action::Operate)?;
        Ok(upload)
    }
}
