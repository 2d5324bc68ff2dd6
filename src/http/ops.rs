//! What a dashboard for operators asks: the system at a glance, one upload's timeline, and work that should not wait.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::broker::{Broker, BrokerError, LogEntry, ReplayWhat, SweepKind, SweepReport};
use crate::domain::ids::{EventId, UploadId};

use super::examples;
use super::extract::query::age_secs;
use super::extract::query::{PageLimits, Parameters, Values};
use super::extract::{Caller, Json, NoBody, Query, UploadPath};
use super::ops_views::OverviewView;
use super::problem::Problem;
use super::views::time;

/// The shortest and the longest window, in seconds: an hour and thirty days.
const WINDOWS_SECS: std::ops::RangeInclusive<u64> = 3_600..=30 * 86_400;
/// The window where the caller doesn't say.
const DEFAULT_WINDOW_SECS: u64 = 86_400;

type Answer = Result<HttpResponse, Problem>;

/// Over which time.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OverviewQuery {
    /// How far back: a number and `m`, `h` or `d`, from an hour to thirty days; a day where absent.
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
/// What is pending, what became of what was asked for, and how the sweeper, the bucket and the webhooks are doing. Whatever
/// describes the whole system comes from the database, so that every broker says the same; `broker` and `sweeper` are of the one
/// that answers. Not for a token that is narrowed to some fields.
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
) -> Answer {
    let overview = broker.overview(&caller.0, query.window_secs).await?;
    Ok(HttpResponse::Ok().json(OverviewView::of(overview)))
}

/// What happened to an upload.
#[derive(Serialize, ToSchema)]
#[schema(as = Timeline)]
pub struct TimelineView {
    /// Oldest first.
    data: Vec<EntryView>,
}

/// Something that happened.
#[derive(Serialize, ToSchema)]
#[schema(as = TimelineEntry)]
pub struct EntryView {
    /// When it happened first.
    #[schema(format = DateTime)]
    at: String,
    /// `created`, `presigned`, `represigned`, `event`, `seal`, `problem`, `webhook`, `operator` (somebody had something done by
    /// hand), the status that was reached, or `more` for what was counted only.
    kind: String,
    /// What happened, for a person.
    detail: String,
    /// How often in a row.
    times: u64,
    /// When it happened last.
    #[schema(format = DateTime)]
    last_at: String,
}

impl TimelineView {
    /// A timeline as the broker found it.
    pub fn of(timeline: Vec<LogEntry>) -> TimelineView {
        let entry = |entry: LogEntry| EntryView {
            at: time(entry.at),
            kind: entry.kind,
            detail: entry.detail,
            times: entry.times,
            last_at: time(entry.last_at),
        };
        TimelineView {
            data: timeline.into_iter().map(entry).collect(),
        }
    }
}

/// What happened to an upload
///
/// Oldest first. What repeats is one entry with a count; after 64 entries, what is no status change is counted only.
#[utoipa::path(
    get, path = "/v1/uploads/{id}/timeline", tag = "Operations", operation_id = "readTimeline",
    security(("bearer" = ["ops"])),
    params(("id" = String, Path, description = "The upload's id.", example = json!(examples::ID))),
    responses(
        (status = 200, description = "Everything that is known to have happened.", body = TimelineView,
            example = json!(examples::timeline())),
        (status = 403, description = "scope-insufficient"),
        (status = 404, description = "upload-not-found"),
    )
)]
pub async fn timeline(caller: Caller, id: UploadPath, broker: web::Data<Broker>) -> Answer {
    let timeline = broker.timeline(&caller.0, id.0).await?;
    Ok(HttpResponse::Ok().json(TimelineView::of(timeline)))
}

/// What a sweep did.
#[derive(Serialize, ToSchema)]
#[schema(as = Sweep)]
pub struct SweepView {
    /// Each kind of work, in the order in which they were done.
    data: Vec<SweptView>,
}

/// What a sweep did with one kind of work.
#[derive(Serialize, ToSchema)]
#[schema(as = Swept)]
pub struct SweptView {
    /// The kind: `pending`, `attempts`, `unattached`, `owed`, `staging` or `multipart`.
    kind: &'static str,
    /// How often what happened; what didn't is left out.
    counts: BTreeMap<&'static str, u64>,
    /// Whether there is more of it to do.
    more: bool,
    /// The code of what kept it from being done.
    error: Option<&'static str>,
}

impl SweptView {
    fn of((kind, result): (SweepKind, Result<SweepReport, BrokerError>)) -> SweptView {
        let (report, error) = match result {
            Ok(report) => (report, None),
            Err(error) => {
                let problem = Problem::from(error);
                let (cause, code) = (problem.cause(), problem.code().row().name);
                tracing::warn!(kind = kind.as_str(), cause, code, "a sweep by hand failed");
                (SweepReport::default(), Some(code))
            }
        };
        let counts = report.counts.named().into_iter();
        SweptView {
            kind: kind.as_str(),
            counts: counts.filter(|(_, count)| *count > 0).collect(),
            more: report.more,
            error,
        }
    }
}

/// Sweep now
///
/// At most a thousand things of each kind of the sweeper's work, without waiting for its time. Brokers that sweep beside it do no harm. Kinds that
/// would begin after 20 seconds are left out.
#[utoipa::path(
    post, path = "/v1/ops/sweep", tag = "Operations", operation_id = "sweepNow",
    security(("bearer" = ["ops"])),
    responses(
        (status = 200, description = "What was done.", body = SweepView, example = json!(examples::sweep())),
        (status = 403, description = "scope-insufficient"),
    )
)]
pub async fn sweep(caller: Caller, _nothing: NoBody, broker: web::Data<Broker>) -> Answer {
    let swept = broker.sweep_now(&caller.0).await?;
    Ok(HttpResponse::Ok().json(SweepView {
        data: swept.into_iter().map(SweptView::of).collect(),
    }))
}

/// What to deliver again: exactly one of `dead`, `event` and `upload`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Replay)]
pub struct ReplayBody {
    /// The endpoint's configured name.
    endpoint: String,
    /// True: what was given up, at most 1,000 deliveries, the earliest events first.
    #[serde(default)]
    dead: bool,
    /// One event, by its id.
    #[serde(default)]
    event: Option<String>,
    /// All events of an upload that the endpoint was told of, by its id.
    #[serde(default)]
    upload: Option<String>,
    /// True: the endpoint is called again although it had answered 410 Gone.
    #[serde(default)]
    enable: bool,
}

impl ReplayBody {
    fn what(&self) -> Result<ReplayWhat, Problem> {
        match (self.dead, &self.event, &self.upload) {
            (true, None, None) => Ok(ReplayWhat::Dead),
            (false, Some(event), None) => EventId::parse(event)
                .map(ReplayWhat::Event)
                .map_err(|_| Problem::invalid_member("/event", "must be an event's id, evt_…")),
            (false, None, Some(upload)) => UploadId::parse(upload)
                .map(ReplayWhat::Upload)
                .map_err(|_| Problem::invalid_member("/upload", "must be an upload's id, upl_…")),
            _ => {
                let detail = "send exactly one of `dead`: true, `event` and `upload`";
                Err(Problem::invalid_member("/dead", detail))
            }
        }
    }
}

/// How much was made due again.
#[derive(Serialize, ToSchema)]
#[schema(as = Replayed)]
pub struct ReplayedView {
    /// How many deliveries.
    replayed: usize,
}

/// Deliver webhooks again
///
/// Makes deliveries to an endpoint due again, as if they had never been tried; they are made within seconds, under their old
/// `webhook-id`. For `dead`, ask again while `replayed` is 1,000.
#[utoipa::path(
    post, path = "/v1/ops/webhooks/replay", tag = "Operations", operation_id = "replayWebhooks",
    security(("bearer" = ["ops"])),
    request_body(content = ReplayBody, example = json!(examples::replay_body())),
    responses(
        (status = 200, description = "How many deliveries are due again; 0 where there is nothing like that.", body = ReplayedView,
            example = json!({"replayed": 3})),
        (status = 400, description = "invalid-request"),
        (status = 403, description = "scope-insufficient"),
    )
)]
pub async fn replay(
    caller: Caller,
    Json(body): Json<ReplayBody>,
    broker: web::Data<Broker>,
) -> Answer {
    let what = body.what()?;
    let replayed = broker
        .replay(&caller.0, &body.endpoint, what, body.enable)
        .await?;
    Ok(HttpResponse::Ok().json(ReplayedView { replayed }))
}
