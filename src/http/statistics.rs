//! What an operator gets: counts and bytes.

use serde::Serialize;
use utoipa::ToSchema;

use crate::broker::Stats;

use super::views::time;

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
    /// When it was asked for.
    #[schema(format = DateTime)]
    created_at: String,
}

impl StatsView {
    /// Statistics as the broker counted them.
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
