//! Pending uploads past their deadline: the same confirm as everybody's, and only what is surely absent expires.

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;

use crate::broker::{Broker, BrokerError};
use crate::db::{DueUpload, Transition};
use crate::domain::upload::{ConfirmedBy, Status};

use super::{SweepReport, SweepWalk};

/// The longest pause between two tries, in seconds.
const LONGEST_PAUSE_SECS: i64 = 3_600;
/// The most characters of a problem's text.
const MAX_PROBLEM_CHARS: usize = 200;

/// What became of one upload.
enum Outcome {
    Confirmed,
    Rejected,
    Expired,
    Settled,
    Postponed,
}

impl Broker {
    pub(super) async fn sweep_pending(
        &self,
        walk: &mut SweepWalk,
    ) -> Result<SweepReport, BrokerError> {
        let now = self.sweep_time().await?;
        let due = self.0.db.due_uploads(now, walk.limit).await?;
        let mut report = SweepReport::of(due.len(), walk.limit);
        if walk.dry_run {
            let line = |due: &DueUpload| format!("confirm or expire {}", due.id);
            report.would = due.iter().map(line).collect();
            report.more = false;
            return Ok(report);
        }
        for chunk in due.chunks(self.sweeps_at_once()) {
            let settling = chunk.iter().map(|&due| self.settle_due(due, now));
            let mut learned = false;
            for outcome in join_all(settling).await {
                let outcome = outcome?;
                learned |= !matches!(outcome, Outcome::Postponed);
                let counts = &mut report.counts;
                *match outcome {
                    Outcome::Confirmed => &mut counts.confirmed,
                    Outcome::Rejected => &mut counts.rejected,
                    Outcome::Expired => &mut counts.expired,
                    Outcome::Settled => &mut counts.settled,
                    Outcome::Postponed => &mut counts.postponed,
                } += 1;
            }
            // A bucket that answers nobody is asked once a pause, not once an upload.
            if !learned {
                report.more = false;
                break;
            }
        }
        Ok(report)
    }

    async fn settle_due(&self, due: DueUpload, now: DateTime<Utc>) -> Result<Outcome, BrokerError> {
        let upload = match self.join_confirm(due.id, ConfirmedBy::Sweeper).await {
            Ok(upload) => upload,
            Err(error @ BrokerError::DatabaseUnavailable { .. }) => return Err(error),
            Err(error) => return self.postpone(due, now, problem_of(error)).await,
        };
        let by = upload.confirmation.as_ref().map(|it| it.by);
        match upload.status {
            // This very confirm, begun after the deadline, was told by the bucket that nothing is there.
            Status::Pending => Ok(match self.expire_absent(&upload).await? {
                Transition::Moved(_) => Outcome::Expired,
                Transition::Stale(_) | Transition::Missing => Outcome::Settled,
            }),
            Status::Rejected => Ok(Outcome::Rejected),
            _ if by == Some(ConfirmedBy::Sweeper) => Ok(Outcome::Confirmed),
            _ => Ok(Outcome::Settled),
        }
    }

    /// The next try is after half of the time that the upload is overdue already, so that an outage is followed closely and a
    /// lasting problem costs little.
    async fn postpone(
        &self,
        due: DueUpload,
        now: DateTime<Utc>,
        problem: String,
    ) -> Result<Outcome, BrokerError> {
        tracing::warn!(upload = %due.id, problem, "an upload past its deadline is tried again later");
        let shortest = i64::from(self.0.options.sweep.retry_secs).min(LONGEST_PAUSE_SECS);
        let overdue_secs = (now - due.expires_at).num_seconds();
        let pause = (overdue_secs / 2).clamp(shortest, LONGEST_PAUSE_SECS);
        let until = now + TimeDelta::seconds(pause);
        self.0.db.postpone(due.id, until, problem).await?;
        Ok(Outcome::Postponed)
    }
}

/// What people are shown as the upload's last problem.
fn problem_of(error: BrokerError) -> String {
    let text = match error {
        BrokerError::StoreUnavailable { cause, .. } => cause,
        BrokerError::Refused(refusal) => {
            let details = refusal.differences.into_iter().map(|it| it.detail);
            details.collect::<Vec<_>>().join("; ")
        }
        BrokerError::Internal(cause) => {
            tracing::error!(cause, "a fault of ours keeps the sweeper from an upload");
            "an internal error, see the log".to_owned()
        }
        other => format!("{other:?}"),
    };
    text.chars().take(MAX_PROBLEM_CHARS).collect()
}
