//! What operators get: the system over a window.

use serde::Serialize;
use utoipa::ToSchema;

use crate::broker::{Age, BrokerNumbers, EndpointState, FieldFates, Overview, Series};

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
    /// What is pending now, asked for in the window or before; of more than 50,000 the oldest.
    pending: PendingView,
    /// What became of the uploads that were asked for since then, by field.
    fields: Vec<FieldView>,
    /// When what happened.
    series: SeriesView,
    /// The members that rejected uploads of the window contradicted, the most frequent first; of the latest 1,000.
    rejections: Vec<ReasonView>,
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
    /// How many.
    count: u64,
    /// Their declared sizes together, in bytes.
    bytes: u64,
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

/// How often what happened, step by step: each list has one number a step.
#[derive(Serialize, ToSchema)]
#[schema(as = Series)]
pub struct SeriesView {
    /// How long a step is, in seconds.
    step_secs: u64,
    /// When the first step begins.
    #[schema(format = DateTime)]
    start: String,
    /// Uploads that were asked for.
    created: Vec<u64>,
    /// Uploads that were confirmed.
    confirmed: Vec<u64>,
    /// Uploads that were rejected.
    rejected: Vec<u64>,
    /// Uploads that expired.
    expired: Vec<u64>,
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

/// What this broker did since its start.
#[derive(Serialize, ToSchema)]
#[schema(as = BrokerNumbers)]
pub struct BrokerView {
    /// When it started.
    #[schema(format = DateTime)]
    started_at: String,
    /// How long its confirms took.
    confirm: TimesView,
    /// Its calls to the bucket.
    store: Vec<CallsView>,
}

/// How long something took.
#[derive(Serialize, ToSchema)]
#[schema(as = Times)]
pub struct TimesView {
    /// How often it was done.
    count: u64,
    /// The median, in seconds; null before the first.
    p50_secs: Option<f64>,
    /// The 99th percentile, in seconds; null before the first.
    p99_secs: Option<f64>,
}

/// Calls to the bucket.
#[derive(Serialize, ToSchema)]
#[schema(as = StoreCalls)]
pub struct CallsView {
    /// The operation of S3, `copy-object` and the like.
    operation: String,
    /// `ok`, an error code of S3, `timeout` or `dispatch`.
    code: String,
    /// How many.
    count: u64,
}

/// What this broker's sweeper did with one kind of work.
#[derive(Serialize, ToSchema)]
#[schema(as = SweeperNumbers)]
pub struct SweeperView {
    /// The kind.
    kind: String,
    /// When its last batch ended, well or not.
    #[schema(format = DateTime)]
    last_ended_at: Option<String>,
    /// How many things it settled or removed.
    done: u64,
    /// How often it failed.
    failed: u64,
}

/// Where a webhook endpoint stands.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
pub struct EndpointView {
    /// Its name.
    endpoint: String,
    /// Deliveries that are pending.
    pending: u64,
    /// Deliveries that were given up; a replay makes them again.
    dead: u64,
    /// When the earliest event happened whose delivery is pending.
    #[schema(format = DateTime)]
    oldest_pending_at: Option<String>,
    /// Whether it answered 410 and is not called any more.
    disabled: bool,
}

impl OverviewView {
    /// An overview as the broker made it.
    pub fn of(overview: Overview) -> OverviewView {
        let BrokerNumbers {
            started_at,
            confirm,
            store,
            sweeps,
        } = overview.broker;
        let pending = overview.pending;
        OverviewView {
            at: time(overview.at),
            window_secs: overview.window_secs,
            since: time(overview.since),
            pending: PendingView {
                count: pending.count,
                bytes: pending.bytes,
                overdue: pending.overdue,
                oldest_created_at: pending.oldest_created_at.map(time),
                ages: pending.ages.iter().map(age).collect(),
            },
            fields: overview.fields.into_iter().map(field).collect(),
            series: series(overview.series),
            rejections: overview
                .rejections
                .into_iter()
                .map(|(reason, count)| ReasonView { reason, count })
                .collect(),
            broker: BrokerView {
                started_at: time(started_at),
                confirm: TimesView {
                    count: confirm.count,
                    p50_secs: confirm.p50_secs,
                    p99_secs: confirm.p99_secs,
                },
                store: store
                    .into_iter()
                    .map(|(operation, code, count)| CallsView {
                        operation,
                        code,
                        count,
                    })
                    .collect(),
            },
            sweeper_lag_secs: overview.sweeper_lag_secs,
            sweeper: sweeps
                .into_iter()
                .map(|it| SweeperView {
                    kind: it.kind,
                    last_ended_at: it.last_ended_at.map(time),
                    done: it.done,
                    failed: it.failed,
                })
                .collect(),
            webhooks: overview.webhooks.into_iter().map(endpoint).collect(),
        }
    }
}

fn age(age: &Age) -> AgeView {
    AgeView {
        up_to_secs: age.up_to_secs,
        count: age.count,
        bytes: age.bytes,
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

fn endpoint(state: EndpointState) -> EndpointView {
    EndpointView {
        endpoint: state.endpoint,
        pending: state.pending,
        dead: state.dead,
        oldest_pending_at: state.oldest_pending_at.map(time),
        disabled: state.disabled,
    }
}
