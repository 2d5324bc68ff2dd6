//! What operators get: the system over a window.

mod machinery;

use serde::Serialize;
use utoipa::ToSchema;

use crate::broker::{Age, FieldFates, Overview, Rejections, Series};

use self::machinery::{BrokerView, EndpointView, SweeperView};
use super::views::time;

/// The system over a window.
#[derive(Serialize, ToSchema)]
#[schema(as = Overview)]
pub struct OverviewView {
    /// Now.
    #[schema(format = DateTime)]
    at: String,
    /// How long the window is, in seconds.
    window_secs: u64,
    /// From when on uploads were looked at: later than the window's beginning where more than 50,000 were asked for in it.
    #[schema(format = DateTime)]
    since: String,
    /// From when on what happened was looked at: later than the window's beginning where there is more of it than 50,000 events.
    #[schema(format = DateTime)]
    events_since: String,
    /// What is pending now, asked for in the window or before.
    pending: PendingView,
    /// What became of the uploads that were asked for since `since`, by field.
    fields: Vec<FieldView>,
    /// When what happened.
    series: SeriesView,
    /// Why uploads that were asked for since `since` were rejected.
    rejections: RejectionsView,
    /// What this broker did since its start. Other brokers beside it have numbers of their own.
    broker: BrokerView,
    /// How long the longest overdue upload waits for a sweeper, in seconds; 0 if none is overdue.
    sweeper_lag_secs: f64,
    /// Each kind of work of this broker's sweeper.
    sweeper: Vec<SweeperView>,
    /// Each webhook endpoint that is configured.
    webhooks: Vec<EndpointView>,
}

/// What is pending now.
#[derive(Serialize, ToSchema)]
#[schema(as = PendingNow)]
pub struct PendingView {
    /// How many uploads.
    count: u64,
    /// Their declared sizes together, in bytes.
    bytes: u64,
    /// How many of them are past their deadline.
    overdue: u64,
    /// Whether even more are, or may be: they are counted up to 500,000, those that were put off among as many that are due next.
    overdue_more: bool,
    /// How many of the overdue ones the sweeper tried in vain, and tries again later.
    postponed: u64,
    /// When the oldest was asked for.
    #[schema(format = DateTime)]
    oldest_created_at: Option<String>,
    /// How many there are, by age.
    ages: Vec<AgeView>,
}

/// Pending uploads of about the same age.
#[derive(Serialize, ToSchema)]
#[schema(as = PendingAge)]
pub struct AgeView {
    /// They are younger than this, in seconds, and no younger than the group before; null is without end.
    up_to_secs: Option<u64>,
    /// How many, counted up to 500,000.
    count: u64,
    /// Whether there are even more.
    more: bool,
}

impl AgeView {
    fn of(age: &Age) -> AgeView {
        AgeView {
            up_to_secs: age.up_to_secs,
            count: age.count.count,
            more: age.count.more,
        }
    }
}

/// What became of the uploads of a field.
#[derive(Serialize, ToSchema)]
#[schema(as = FieldFates)]
pub struct FieldView {
    /// The field.
    field: String,
    /// Asked for.
    created: u64,
    /// Ever confirmed.
    confirmed: u64,
    /// Ever attached.
    attached: u64,
    /// Rejected.
    rejected: u64,
    /// Expired.
    expired: u64,
    /// Canceled.
    canceled: u64,
    /// Pending still.
    pending: u64,
}

/// How often what happened, step by step: each list has one number a step, and null where a step begins before `since`
/// (`created`) or `events_since` (the others).
#[derive(Serialize, ToSchema)]
#[schema(as = Series)]
pub struct SeriesView {
    /// How long a step is, in seconds.
    step_secs: u64,
    /// When the first step begins.
    #[schema(format = DateTime)]
    start: String,
    /// Uploads that were asked for.
    created: Vec<Option<u64>>,
    /// Uploads that were confirmed.
    confirmed: Vec<Option<u64>>,
    /// Uploads that were rejected.
    rejected: Vec<Option<u64>>,
    /// Uploads that expired.
    expired: Vec<Option<u64>>,
}

/// Why uploads were rejected.
#[derive(Serialize, ToSchema)]
#[schema(as = Rejections)]
pub struct RejectionsView {
    /// How many there are.
    rejected: u64,
    /// How many of them were looked at: the latest 5,000 at most.
    looked_at: u64,
    /// The members that those contradicted, the most frequent first. One upload may contradict several.
    reasons: Vec<ReasonView>,
}

/// How often something was the reason of a rejection.
#[derive(Serialize, ToSchema)]
#[schema(as = RejectionReason)]
pub struct ReasonView {
    /// The member of the declaration that what arrived contradicted: `size`, `content_type`, `checksum` and the like.
    reason: String,
    /// How often.
    count: u64,
}

impl OverviewView {
    /// An overview as the broker made it.
    pub fn of(overview: Overview) -> OverviewView {
        let mut broker = overview.broker;
        let sweeps = std::mem::take(&mut broker.sweeps);
        let pending = overview.pending;
        OverviewView {
            at: time(overview.at),
            window_secs: overview.window_secs,
            since: time(overview.since),
            events_since: time(overview.events_since),
            pending: PendingView {
                count: pending.count,
                bytes: pending.bytes,
                overdue: pending.overdue.count,
                overdue_more: pending.overdue.more,
                postponed: pending.postponed,
                oldest_created_at: pending.oldest_created_at.map(time),
                ages: pending.ages.iter().map(AgeView::of).collect(),
            },
            fields: overview.fields.into_iter().map(field).collect(),
            series: series(overview.series),
            rejections: rejections(overview.rejections),
            sweeper: sweeps.into_iter().map(SweeperView::of).collect(),
            broker: BrokerView::of(broker, overview.confirm_times),
            sweeper_lag_secs: overview.sweeper_lag_secs,
            webhooks: overview
                .webhooks
                .into_iter()
                .map(EndpointView::of)
                .collect(),
        }
    }
}

fn rejections(rejections: Rejections) -> RejectionsView {
    let reasons = rejections.reasons.into_iter();
    RejectionsView {
        rejected: rejections.rejected,
        looked_at: rejections.looked_at,
        reasons: reasons
            .map(|(reason, count)| ReasonView { reason, count })
            .collect(),
    }
}

fn field(fates: FieldFates) -> FieldView {
    FieldView {
        field: fates.field,
        created: fates.created,
        confirmed: fates.confirmed,
        attached: fates.attached,
        rejected: fates.rejected,
        expired: fates.expired,
        canceled: fates.canceled,
        pending: fates.pending,
    }
}

fn series(series: Series) -> SeriesView {
    SeriesView {
        step_secs: series.step_secs,
        start: time(series.start),
        created: series.created,
        confirmed: series.confirmed,
        rejected: series.rejected,
        expired: series.expired,
    }
}
