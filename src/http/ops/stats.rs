//! `GET /v1/stats`: counts and bytes by field and status.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::broker::{Broker, Stats};
use crate::domain::upload_view::time;
use crate::http::examples;
use crate::http::extract::Caller;
use crate::http::problem::Problem;

/// Counts and bytes.
#[derive(Serialize, ToSchema)]
#[schema(as = Stats)]
pub struct StatsView {
    /// One entry for each field and status that occurs.
    data: Vec<StatView>,
    /// The oldest pending upload of each field that has one.
    oldest_pending: Vec<OldestView>,
}

/// The uploads of one field in one status.
#[derive(Serialize, ToSchema)]
#[schema(as = Stat)]
pub struct StatView {
    /// The field.
    field: String,
    /// The status.
    status: &'static str,
    /// How many uploads.
    count: u64,
    /// The sum of their declared sizes, in bytes.
    bytes: u64,
}

/// The oldest pending upload of a field.
#[derive(Serialize, ToSchema)]
#[schema(as = OldestPending)]
pub struct OldestView {
    /// The field.
    field: String,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
}

impl StatsView {
    /// The broker's statistics as JSON.
    pub fn of(stats: Stats) -> StatsView {
        StatsView {
            data: stats
                .groups
                .into_iter()
                .map(|group| StatView {
                    field: group.field.as_str().to_owned(),
                    status: group.status.as_str(),
                    count: group.count,
                    bytes: group.bytes,
                })
                .collect(),
            oldest_pending: stats
                .oldest_pending
                .into_iter()
                .map(|(field, at)| OldestView {
                    field: field.as_str().to_owned(),
                    created_at: time(at),
                })
                .collect(),
        }
    }
}

/// Counts and bytes
///
/// By field and status, with the oldest pending upload of each field. A token with `fields` reads only these fields.
#[utoipa::path(
    get, path = "/v1/stats", tag = "Operations", operation_id = "readStats",
    security(("bearer" = ["ops"])),
    responses(
        (status = 200, description = "Statistics of all uploads.", body = StatsView, example = json!(examples::stats())),
        (status = 403, description = "scope-insufficient"),
    )
)]
pub async fn stats(caller: Caller, broker: web::Data<Broker>) -> Result<HttpResponse, Problem> {
    let stats = broker.stats(&caller.0).await?;
    Ok(HttpResponse::Ok().json(StatsView::of(stats)))
}
