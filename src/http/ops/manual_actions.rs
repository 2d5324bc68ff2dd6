//! Manual actions of operators: re-check or expire an upload, sweep now, replay webhooks.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::broker::{Broker, BrokerError, ReplayWhat, SweepKind, SweepReport};
use crate::domain::ids::{EventId, UploadId};
use crate::domain::upload_view::UploadView;
use crate::http::examples;
use crate::http::extract::{Caller, Json, NoBody, UploadPath};
use crate::http::problem::Problem;

/// Re-check an upload
///
/// Checks the bucket now, like a client's confirm: an object as declared is confirmed (`confirmed_by` is `sweeper`), any other is
/// rejected; without an object the upload stays pending. The response is the upload afterwards.
#[utoipa::path(
    post, path = "/v1/uploads/{id}/recheck", tag = "Operations", operation_id = "recheckUpload",
    security(("bearer" = ["ops"])),
    params(("id" = String, Path, description = "The upload's id.", example = json!(examples::ID))),
    responses(
        (status = 200, description = "The upload afterwards.", body = UploadView, example = json!(examples::confirmed())),
        (status = 403, description = "scope-insufficient"),
        (status = 404, description = "upload-not-found"),
        (status = 503, description = "store-unavailable, database-unavailable"),
    )
)]
pub async fn recheck(
    caller: Caller,
    id: UploadPath,
    _nothing: NoBody,
    broker: web::Data<Broker>,
) -> Result<HttpResponse, Problem> {
    let upload = broker.recheck(&caller.0, id.0).await?;
    Ok(HttpResponse::Ok().json(UploadView::of_done(&caller.0, upload, &broker).await))
}

/// Expire a pending upload
///
/// Before its deadline. The bucket is checked first: an object is confirmed or rejected, and the upload expires only if the bucket
/// says that there is none. An upload in another status is not changed. The response is the upload afterwards.
#[utoipa::path(
    post, path = "/v1/uploads/{id}/expire", tag = "Operations", operation_id = "expireUpload",
    security(("bearer" = ["ops"])),
    params(("id" = String, Path, description = "The upload's id.", example = json!(examples::ID))),
    responses(
        (status = 200, description = "The upload afterwards.", body = UploadView, example = json!(examples::expired())),
        (status = 403, description = "scope-insufficient"),
        (status = 404, description = "upload-not-found"),
        (status = 503, description = "store-unavailable, database-unavailable"),
    )
)]
pub async fn expire(
    caller: Caller,
    id: UploadPath,
    _nothing: NoBody,
    broker: web::Data<Broker>,
) -> Result<HttpResponse, Problem> {
    let upload = broker.expire(&caller.0, id.0).await?;
    Ok(HttpResponse::Ok().json(UploadView::of_done(&caller.0, upload, &broker).await))
}

/// The result of a sweep.
#[derive(Serialize, ToSchema)]
#[schema(as = Sweep)]
pub struct SweepView {
    /// One entry for each task, in the order they ran.
    data: Vec<SweptView>,
}

/// The result of one task of a sweep.
#[derive(Serialize, ToSchema)]
#[schema(as = Swept)]
pub struct SweptView {
    /// The task: `pending` (overdue uploads), `attempts` (abandoned copies), `unattached` (unclaimed uploads), `owed` (objects to
    /// delete), `staging` (stale staging objects) or `multipart` (stale multipart uploads).
    kind: &'static str,
    /// Counts by result; zeros are left out.
    counts: BTreeMap<&'static str, u64>,
    /// Whether more of the task is left.
    more: bool,
    /// The problem code of a task that failed.
    error: Option<&'static str>,
}

impl SweptView {
    fn of((kind, result): (SweepKind, Result<SweepReport, BrokerError>)) -> SweptView {
        let (report, error) = match result {
            Ok(report) => (report, None),
            Err(error) => {
                let problem = Problem::from(error);
                let (cause, code) = (problem.cause(), problem.code().row().name);
                tracing::warn!(kind = kind.as_str(), cause, code, "manual sweep failed");
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
/// Runs up to ten batches of 100 of each sweeper task, beside the sweepers of all brokers. A task that would start after 20 seconds
/// is left out.
#[utoipa::path(
    post, path = "/v1/ops/sweep", tag = "Operations", operation_id = "sweepNow",
    security(("bearer" = ["ops"])),
    responses(
        (status = 200, description = "The result of each task.", body = SweepView, example = json!(examples::sweep())),
        (status = 403, description = "scope-insufficient"),
    )
)]
pub async fn sweep(
    caller: Caller,
    _nothing: NoBody,
    broker: web::Data<Broker>,
) -> Result<HttpResponse, Problem> {
    let swept = broker.sweep_now(&caller.0).await?;
    Ok(HttpResponse::Ok().json(SweepView {
        data: swept.into_iter().map(SweptView::of).collect(),
    }))
}

/// The deliveries to replay: exactly one of `dead`, `event` and `upload`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Replay)]
pub struct ReplayBody {
    /// The endpoint's configured name.
    endpoint: String,
    /// True: the endpoint's dead deliveries, at most 1,000, the earliest events first.
    #[serde(default)]
    dead: bool,
    /// The id of one event.
    #[serde(default)]
    event: Option<String>,
    /// The id of an upload: all of its events that were sent to the endpoint.
    #[serde(default)]
    upload: Option<String>,
    /// True: also enables an endpoint that is disabled because it answered 410 Gone.
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

/// The result of a replay.
#[derive(Serialize, ToSchema)]
#[schema(as = Replayed)]
pub struct ReplayedView {
    /// How many deliveries are due again.
    replayed: usize,
}

/// Replay webhook deliveries
///
/// Makes deliveries to an endpoint due again, with all their attempts; they are sent within seconds, with the same `webhook-id`.
/// For `dead`, repeat while `replayed` is 1,000.
#[utoipa::path(
    post, path = "/v1/ops/webhooks/replay", tag = "Operations", operation_id = "replayWebhooks",
    security(("bearer" = ["ops"])),
    request_body(content = ReplayBody, example = json!(examples::replay_body())),
    responses(
        (status = 200, description = "How many deliveries are due again; 0 if none match.", body = ReplayedView,
            example = json!({"replayed": 3})),
        (status = 400, description = "invalid-request"),
        (status = 403, description = "scope-insufficient"),
    )
)]
pub async fn replay(
    caller: Caller,
    Json(body): Json<ReplayBody>,
    broker: web::Data<Broker>,
) -> Result<HttpResponse, Problem> {
    let what = body.what()?;
    let replayed = broker
        .replay(&caller.0, &body.endpoint, what, body.enable)
        .await?;
    Ok(HttpResponse::Ok().json(ReplayedView { replayed }))
}
