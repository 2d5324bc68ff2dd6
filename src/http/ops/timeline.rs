//! `GET /v1/uploads/{id}/timeline`: the history of one upload.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::broker::{Broker, TimelineEntry};
use crate::domain::upload_view::time;
use crate::http::examples;
use crate::http::extract::{Caller, UploadPath};
use crate::http::problem::Problem;

/// The timeline of an upload.
#[derive(Serialize, ToSchema)]
#[schema(as = Timeline)]
pub struct TimelineView {
    /// Oldest first.
    data: Vec<EntryView>,
}

/// An entry of a timeline.
#[derive(Serialize, ToSchema)]
#[schema(as = TimelineEntry)]
pub struct EntryView {
    /// When it happened, or first happened.
    #[schema(format = DateTime)]
    at: String,
    /// `created`, `presigned`, `represigned`, `event`, `seal`, `problem`, `webhook`, `operator` (a manual action), the new status
    /// of a status change, or `more` for entries that are only counted.
    kind: String,
    /// A sentence for people.
    detail: String,
    /// How many times in a row.
    times: u64,
    /// When it last happened.
    #[schema(format = DateTime)]
    last_at: String,
}

impl TimelineView {
    /// The broker's timeline as JSON.
    pub fn of(timeline: Vec<TimelineEntry>) -> TimelineView {
        let entry = |entry: TimelineEntry| EntryView {
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

/// The timeline of an upload
///
/// Oldest first. Repetitions are one entry with a count; after 64 entries, anything but a status change is only counted.
#[utoipa::path(
    get, path = "/v1/uploads/{id}/timeline", tag = "Operations", operation_id = "readTimeline",
    security(("bearer" = ["ops"])),
    params(("id" = String, Path, description = "The upload's id.", example = json!(examples::ID))),
    responses(
        (status = 200, description = "The upload's timeline.", body = TimelineView,
            example = json!(examples::timeline())),
        (status = 403, description = "scope-insufficient"),
        (status = 404, description = "upload-not-found"),
    )
)]
pub async fn timeline(
    caller: Caller,
    id: UploadPath,
    broker: web::Data<Broker>,
) -> Result<HttpResponse, Problem> {
    let timeline = broker.timeline(&caller.0, id.0).await?;
    Ok(HttpResponse::Ok().json(TimelineView::of(timeline)))
}
