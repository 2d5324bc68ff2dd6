//! `GET /v1/ops/overview`: the whole system over a window of time.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::broker::{
    AtLeast, Broker, ConfirmTimes, EndpointState, FieldCounts, Outcomes, Overview, Rejections,
};
use crate::domain::upload_view::time;
use crate::http::examples;
use crate::http::extract::query::age_secs;
use crate::http::extract::query::{PageLimits, Parameters, Values};
use crate::http::extract::{Caller, Query};
use crate::http::problem::Problem;
use crate::telemetry::metrics::SweepNumbers;

/// The shortest and the longest window, in seconds: an hour and thirty days.
const WINDOWS_SECS: std::ops::RangeInclusive<u64> = 3_600..=30 * 86_400;
const DEFAULT_WINDOW_SECS: u64 = 86_400;

/// The window of time.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OverviewQuery {
    /// How far back: a number and `m`, `h` or `d`, from `1h` to `30d`; `1d` by default.
    #[param(rename = "window", value_type = Option<String>, example = "24h")]
    window_secs: u64,
}

impl Parameters for OverviewQuery {
    const NAMES: &'static [&'static str] = &["window"];

    fn read(values: &Values, _: PageLimits) -> Result<OverviewQuery, Problem> {
        let allowed = "a time from 1h to 30d";
        let window = values.get("window", allowed, |text| {
            age_secs(text).filter(|secs| WINDOWS_SECS.contains(secs))
        })?;
        Ok(OverviewQuery {
            window_secs: window.unwrap_or(DEFAULT_WINDOW_SECS),
        })
    }
}

/// The system at a glance
///
/// Pending uploads, the outcomes of created uploads, the sweeper, S3 calls and webhooks. What describes the whole system comes from
/// the database and is the same on every broker; `broker.store` and `sweeper` are of the broker that answers. Not for a token that
/// is narrowed to some fields.
#[utoipa::path(
    get, path = "/v1/ops/overview", tag = "Operations", operation_id = "readOverview",
    security(("bearer" = ["ops"])),
    params(OverviewQuery),
    responses(
        (status = 200, description = "The system over the window.", body = OverviewView, example = json!(examples::overview())),
        (status = 400, description = "invalid-request"),
        (status = 403, description = "scope-insufficient"),
    )
)]
pub async fn overview(
    caller: Caller,
    Query(query): Query<OverviewQuery>,
    broker: web::Data<Broker>,
) -> Result<HttpResponse, Problem> {
    let overview = broker.overview(&caller.0, query.window_secs).await?;
    Ok(HttpResponse::Ok().json(OverviewView::of(overview)))
}

/// The system over a window.
#[derive(Serialize, ToSchema)]
#[schema(as = Overview)]
pub struct OverviewView {
    /// Now.
    #[schema(format = DateTime)]
    at: String,
    /// The length of the window, in seconds.
    window_secs: u64,
    /// The start of what was read of uploads: later than the window's start if more than 50,000 were created in it.
    #[schema(format = DateTime)]
    since: String,
    /// The start of what was read of status changes: later than the window's start if it holds more than 50,000 events.
    #[schema(format = DateTime)]
    events_since: String,
    /// All uploads that are pending now.
    pending: PendingView,
    /// The uploads created since `since`, by field.
    fields: Vec<FieldView>,
    /// Uploads created and settled over time.
    series: SeriesView,
    /// Rejections of uploads created since `since`.
    rejections: RejectionsView,
    /// Confirm times, and the S3 calls of the broker that answers.
    broker: BrokerView,
    /// How long the longest overdue upload has waited for a sweeper, in seconds; 0 if none is overdue.
    sweeper_lag_secs: f64,
    /// The tasks of this broker's sweeper, since its start.
    sweeper: Vec<SweeperView>,
    /// The configured webhook endpoints.
    webhooks: Vec<EndpointView>,
}

/// All uploads that are pending now.
#[derive(Serialize, ToSchema)]
#[schema(as = PendingNow)]
pub struct PendingView {
    /// How many uploads.
    count: u64,
    /// The sum of their declared sizes, in bytes.
    bytes: u64,
    /// How many are past their deadline.
    overdue: u64,
    /// Whether more are, or may be: they are counted up to 500,000, the deferred ones among as many that are due next.
    overdue_more: bool,
    /// How many of the overdue ones the sweeper could not settle and will retry.
    postponed: u64,
    /// When the oldest was created.
    #[schema(format = DateTime)]
    oldest_created_at: Option<String>,
    /// Counts by age.
    ages: Vec<AgeView>,
}

/// Pending uploads of one range of ages.
#[derive(Serialize, ToSchema)]
#[schema(as = PendingAge)]
pub struct AgeView {
    /// The range's end, in seconds, and the start of the next range; null for the last one.
    up_to_secs: Option<u64>,
    /// How many, counted up to 500,000.
    count: u64,
    /// Whether there are more.
    more: bool,
}

/// The uploads of a field.
#[derive(Serialize, ToSchema)]
#[schema(as = FieldFates)]
pub struct FieldView {
    /// The field.
    field: String,
    /// All of them.
    created: u64,
    /// Confirmed at some time.
    confirmed: u64,
    /// Attached at some time.
    attached: u64,
    /// Rejected.
    rejected: u64,
    /// Expired.
    expired: u64,
    /// Canceled.
    canceled: u64,
    /// Still pending.
    pending: u64,
}

/// Counts over time: each list has one number for each step, and null where a step starts before `since` (`created`) or
/// `events_since` (the others).
#[derive(Serialize, ToSchema)]
#[schema(as = Series)]
pub struct SeriesView {
    /// The length of a step, in seconds.
    step_secs: u64,
    /// The start of the first step.
    #[schema(format = DateTime)]
    start: String,
    /// Uploads created.
    created: Vec<Option<u64>>,
    /// Uploads confirmed.
    confirmed: Vec<Option<u64>>,
    /// Uploads rejected.
    rejected: Vec<Option<u64>>,
    /// Uploads expired.
    expired: Vec<Option<u64>>,
}

/// Rejected uploads and their reasons.
#[derive(Serialize, ToSchema)]
#[schema(as = Rejections)]
pub struct RejectionsView {
    /// How many uploads were rejected.
    rejected: u64,
    /// How many of them `reasons` covers: the latest 5,000 at most.
    looked_at: u64,
    /// The most frequent reason first. One upload may have several.
    reasons: Vec<ReasonView>,
}

/// A reason and how often it occurred.
#[derive(Serialize, ToSchema)]
#[schema(as = RejectionReason)]
pub struct ReasonView {
    /// The member of the declaration that the object contradicts: `size`, `content_type`, `checksum` and the like.
    reason: String,
    /// How often.
    count: u64,
}

/// Confirm times, and the S3 calls of one broker.
#[derive(Serialize, ToSchema)]
#[schema(as = BrokerNumbers)]
pub struct BrokerView {
    /// When the broker started.
    #[schema(format = DateTime)]
    started_at: String,
    /// The time from create to confirm, of all confirms since `events_since`, by any broker.
    confirm: TimesView,
    /// The broker's S3 calls since its start.
    store: Vec<CallsView>,
}

/// The time from create to confirm.
#[derive(Serialize, ToSchema)]
#[schema(as = Times)]
pub struct TimesView {
    /// How many confirms.
    count: u64,
    /// The median, in seconds; null without a confirm.
    p50_secs: Option<f64>,
    /// The 99th percentile, in seconds; null without a confirm.
    p99_secs: Option<f64>,
}

/// S3 calls of one operation with one result.
#[derive(Serialize, ToSchema)]
#[schema(as = StoreCalls)]
pub struct CallsView {
    /// The S3 operation, `copy-object` and the like.
    operation: String,
    /// `ok`, an S3 error code, `timeout` or `dispatch`.
    code: String,
    /// How many calls.
    count: u64,
}

/// One task of this broker's sweeper, since its start.
#[derive(Serialize, ToSchema)]
#[schema(as = SweeperNumbers)]
pub struct SweeperView {
    /// The task.
    kind: String,
    /// When its last batch ended, with or without an error.
    #[schema(format = DateTime)]
    last_ended_at: Option<String>,
    /// How many uploads it settled or objects it removed.
    done: u64,
    /// How often it deferred something, to retry it later.
    postponed: u64,
    /// How often it failed.
    failed: u64,
}

/// The state of a webhook endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
pub struct EndpointView {
    /// Its configured name.
    endpoint: String,
    /// Pending deliveries.
    pending: u64,
    /// Dead deliveries: all attempts failed. A replay sends them again.
    dead: u64,
    /// The time of the oldest event with a pending delivery.
    #[schema(format = DateTime)]
    oldest_pending_at: Option<String>,
    /// Whether it is disabled because it answered 410 Gone.
    disabled: bool,
}

impl OverviewView {
    /// The broker's overview as JSON.
    pub fn of(overview: Overview) -> OverviewView {
        let seen = overview.seen;
        let outcomes = |of: fn(&Outcomes) -> u64| {
            let steps = seen.happened.iter();
            steps.map(|step| step.as_ref().map(of)).collect()
        };
        let call = |(operation, code, count)| CallsView {
            operation,
            code,
            count,
        };
        OverviewView {
            at: time(overview.at),
            window_secs: overview.window_secs,
            since: time(seen.since),
            events_since: time(seen.events_since),
            series: SeriesView {
                step_secs: overview.step_secs,
                start: time(overview.start),
                confirmed: outcomes(|it| it.confirmed),
                rejected: outcomes(|it| it.rejected),
                expired: outcomes(|it| it.expired),
                created: seen.created,
            },
            pending: PendingView {
                count: seen.pending.count,
                bytes: seen.pending.bytes,
                overdue: seen.pending.overdue.count,
                overdue_more: seen.pending.overdue.more,
                postponed: seen.pending.postponed,
                oldest_created_at: seen.pending.oldest_created_at.map(time),
                ages: overview.ages.into_iter().map(age).collect(),
            },
            rejections: rejections(overview.rejected, seen.rejections),
            fields: overview.fields.into_iter().map(field).collect(),
            broker: BrokerView {
                started_at: time(overview.started_at),
                confirm: times(seen.confirm_times),
                store: overview.s3_calls.into_iter().map(call).collect(),
            },
            sweeper_lag_secs: overview.sweeper_lag_secs,
            sweeper: overview.sweeps.into_iter().map(sweeper).collect(),
            webhooks: seen.endpoints.into_iter().map(endpoint).collect(),
        }
    }
}

fn age((up_to_secs, found): (Option<u64>, AtLeast)) -> AgeView {
    AgeView {
        up_to_secs,
        count: found.count,
        more: found.more,
    }
}

fn field(counts: FieldCounts) -> FieldView {
    FieldView {
        field: counts.field,
        created: counts.created,
        confirmed: counts.confirmed,
        attached: counts.attached,
        rejected: counts.rejected,
        expired: counts.expired,
        canceled: counts.canceled,
        pending: counts.pending,
    }
}

fn rejections(rejected: u64, found: Rejections) -> RejectionsView {
    let reason = |(reason, count)| ReasonView { reason, count };
    RejectionsView {
        rejected,
        looked_at: found.looked_at,
        reasons: found.reasons.into_iter().map(reason).collect(),
    }
}

fn times(times: ConfirmTimes) -> TimesView {
    TimesView {
        count: times.count,
        p50_secs: times.p50_secs,
        p99_secs: times.p99_secs,
    }
}

fn sweeper((kind, numbers): (String, SweepNumbers)) -> SweeperView {
    SweeperView {
        kind,
        last_ended_at: numbers.last_ended_at.map(time),
        done: numbers.done,
        postponed: numbers.postponed,
        failed: numbers.failed,
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
