//! How `bytepass webhooks ls` shows endpoints and deliveries: as cells of a table, or as JSON.

use chrono::NaiveDateTime;
use serde_json::{Value, json};

use crate::db::{DeliveryRow, DeliveryState, EndpointTotals};

/// A time, for people and scripts.
pub(super) fn text_of(at: &NaiveDateTime) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An endpoint for scripts.
pub(super) fn endpoint_json((name, totals): &(String, EndpointTotals)) -> Value {
    let disabled = totals
        .disabled
        .as_ref()
        .map(|(at, reason)| json!({"at": text_of(&at.naive_utc()), "reason": reason}));
    json!({
        "name": name, "disabled": disabled, "pending": totals.pending, "dead": totals.dead,
        "delivered": totals.delivered, "next_at": totals.next_at.map(|at| text_of(&at.naive_utc())),
    })
}

/// An endpoint for the table.
pub(super) fn endpoint_cells((name, totals): &(String, EndpointTotals)) -> Vec<String> {
    let status = totals
        .disabled
        .as_ref()
        .map_or("enabled".to_owned(), |(at, _)| {
            format!("disabled {}", text_of(&at.naive_utc()))
        });
    let counts = [totals.pending, totals.dead, totals.delivered];
    [name.clone(), status]
        .into_iter()
        .chain(counts.map(|count| count.to_string()))
        .collect()
}

/// A delivery for scripts.
pub(super) fn delivery_json(row: &DeliveryRow) -> Value {
    json!({
        "endpoint": row.endpoint, "event_id": row.event_id, "type": row.event_type, "upload_id": row.upload_id,
        "seq": row.seq, "state": row.state, "attempts": row.attempts, "next_at": next_of(row),
        "last_at": row.last_at.as_ref().map(text_of), "last_status": row.last_status, "last_error": row.last_error,
    })
}

/// Only what is pending has a next attempt.
fn next_of(row: &DeliveryRow) -> Option<String> {
    (row.state == DeliveryState::Pending.as_str()).then(|| text_of(&row.next_at))
}

/// A delivery for the table.
pub(super) fn delivery_cells(row: &DeliveryRow) -> Vec<String> {
    vec![
        row.endpoint.clone(),
        row.event_id.clone(),
        row.event_type.clone(),
        row.upload_id.clone(),
        row.seq.to_string(),
        row.state.clone(),
        row.attempts.to_string(),
        next_of(row).unwrap_or_default(),
        row.last_error.clone().unwrap_or_default(),
    ]
}
