//! Pending uploads past their deadline: the same confirm as everybody's, and only what is surely absent expires.

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;

use crate::broker::{Broker, BrokerError};
use crate::db::{DueUpload, Transition};
use crate::domain::upload::{ConfirmedBy, FieldError, Status};

use super::{SweepReport, SweepWalk};

/// The longest pause between two tries, in seconds.
pub(in crate::broker) const LONGEST_PAUSE_SECS: i64 = 3_600;
/// The most characters of a problem's text.
const MAX_PROBLEM_CHARS: usize = 200;

/// What became of one upload.
enum Outcome {
    Confirmed,
    Rejected,
    Expired,
    Settled,
    Postponed,
    /// Postponed, because the bucket gave no answer.
    Unanswered,
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
            let mut answered = false;
            for outcome in join_all(settling).await {
                let outcome = outcome?;
                answered |= !matches!(outcome, Outcome::Unanswered);
                let counts = &mut report.counts;
                *match outcome {
                    Outcome::Confirmed => &mut counts.confirmed,
                    Outcome::Rejected => &mut counts.rejected,
                    Outcome::Expired => &mut counts.expired,
                    Outcome::Settled => &mut counts.settled,
                    Outcome::Postponed | Outcome::Unanswered => &mut counts.postponed,
                } += 1;
            }
            // A bucket that answers nobody is asked once a pause, not once an upload. Any other problem is one upload's own and
            // holds up no other.
            if !answered {
                report.more = false;
                report.cut = true;
                break;
            }
        }
        Ok(report)
    }

    async fn settle_due(&self, due: DueUpload, now: DateTime<Utc>) -> Result<Outcome, BrokerError> {
        let upload = match self.join_confirm(due.id, ConfirmedBy::Sweeper).await {
            Ok(upload) => upload,
            Err(error @ BrokerError::DatabaseUnavailable { .. }) => return Err(error),
            Err(error) => return self.settle_later(due, now, error).await,
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

    /// An upload of a field or a bucket that this broker isn't configured for can be settled by nobody here, but perhaps by a
    /// broker with another configuration. It is left to those until what was staged for it is too old to be sealed by anyone; then
    /// it ends, because else it would count against its owner for ever.
    async fn settle_later(
        &self,
        due: DueUpload,
        now: DateTime<Utc>,
        error: BrokerError,
    ) -> Result<Outcome, BrokerError> {
        let options = &self.0.options;
        let upload = self.find(due.id).await?;
        let is_ours =
            upload.bucket == options.bucket && options.fields.get(&upload.field).is_some();
        let is_too_old =
            now - due.expires_at >= TimeDelta::seconds(options.sweep.staging_max_age_secs.into());
        if !is_ours && is_too_old {
            tracing::warn!(upload = %due.id, field = %upload.field, bucket = upload.bucket, "no broker is configured for it: it expires");
            return Ok(match self.expire_absent(&upload).await? {
                Transition::Moved(_) => Outcome::Expired,
                Transition::Stale(_) | Transition::Missing => Outcome::Settled,
            });
        }
        let is_silent = is_ours && matches!(error, BrokerError::StoreUnavailable { .. });
        self.postpone(due, now, problem_of(error)).await?;
        Ok(if is_silent {
            Outcome::Unanswered
        } else {
            Outcome::Postponed
        })
    }

    /// The next try is after half of the time that the upload is overdue already, so that an outage is followed closely and a
    /// lasting problem costs little.
    async fn postpone(
        &self,
        due: DueUpload,
        now: DateTime<Utc>,
        problem: String,
    ) -> Result<(), BrokerError> {
        tracing::warn!(upload = %due.id, problem, "an upload past its deadline is tried again later");
        let shortest = i64::from(self.0.options.sweep.retry_secs).min(LONGEST_PAUSE_SECS);
        let overdue_secs = (now - due.expires_at).num_seconds();
        let pause = (overdue_secs / 2).clamp(shortest, LONGEST_PAUSE_SECS);
        let until = now + TimeDelta::seconds(pause);
        Ok(self.0.db.postpone(due.id, until, problem).await?)
    }
}

/// What people are shown as the upload's last problem.
fn problem_of(error: BrokerError) -> String {
    let text = match error {
        BrokerError::StoreUnavailable { cause, .. } => cause,
        BrokerError::Refused(refusal) => FieldError::summary(&refusal.errors),
        BrokerError::Internal(cause) => {
            tracing::error!(cause, "a fault of ours keeps the sweeper from an upload");
            "an internal error, see the log".to_owned()
        }
        other => format!("{other:?}"),
    };
    text.chars().take(MAX_PROBLEM_CHARS).collect()
}
