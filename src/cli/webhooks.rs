//! `bytepass webhooks`: lists deliveries, tests an endpoint and replays dead deliveries. It works on the database and the network itself.
//! No broker has to run; a running one delivers replayed events within a second.

use chrono::NaiveDateTime;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::app;
use crate::db::{Db, DeliveryFilter, DeliveryRow, DeliveryState, EndpointTotals, PendingQuota};
use crate::domain::ids::EventId;
use crate::telemetry::metrics::Metrics;
use crate::webhooks::{Endpoint, Webhooks};

use super::outcome::{self, Failure};
use super::serve;
use super::table::table;
use crate::cli::offline::{Needs, OfflineArgs, Output, operator};

#[derive(Debug, Args)]
pub struct WebhooksArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    offline: OfflineArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the endpoints, and their pending and dead deliveries
    Ls {
        /// Only this endpoint
        #[arg(long, value_name = "NAME")]
        endpoint: Option<String>,
        /// Only deliveries in this state; may be repeated [default: pending and dead]
        #[arg(long = "state", value_enum, value_name = "STATE")]
        states: Vec<State>,
        /// The most deliveries to list, newest events first
        #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Send one signed bytepass.test event to an endpoint now
    Test {
        /// The endpoint's name
        endpoint: String,
    },
    /// Replay all dead deliveries of an endpoint, or the given events
    Replay {
        /// The endpoint's name
        endpoint: String,
        /// An event to deliver again, in any state; may be repeated [default: all dead deliveries]
        #[arg(long = "event", value_name = "EVENT_ID")]
        events: Vec<String>,
        /// Enable an endpoint that was disabled by a 410 answer
        #[arg(long)]
        enable: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Pending,
    Delivered,
    Dead,
}

impl State {
    fn state(self) -> DeliveryState {
        match self {
            State::Pending => DeliveryState::Pending,
            State::Delivered => DeliveryState::Delivered,
            State::Dead => DeliveryState::Dead,
        }
    }
}

pub(super) fn run(args: WebhooksArgs) -> Result<(), Failure> {
    let config = args.offline.config(Needs::Database)?;
    serve::start_logging(&config)?;
    let runtime = serve::runtime()?;
    let inside = runtime.enter();
    let metrics = Metrics::new();
    let db = Db::open_existing(
        &config.database,
        Vec::new(),
        PendingQuota::default(),
        metrics.clone(),
    )
    .map_err(|error| serve::not_started(error.into()))?;
    let outbound = app::outbound().map_err(serve::not_started)?;
    let webhooks = app::webhooks(&config, db, outbound, metrics).map_err(serve::not_started)?;
    drop(inside);
    let output = args.offline.output;
    let printed = serve::run_on(runtime, async move {
        match args.verb {
            Verb::Ls {
                endpoint,
                states,
                limit,
            } => ls(&webhooks, output, endpoint, &states, limit).await,
            Verb::Test { endpoint } => test(&webhooks, output, &endpoint).await,
            Verb::Replay {
                endpoint,
                events,
                enable,
            } => replay(&webhooks, output, &endpoint, &events, enable).await,
        }
    })?;
    outcome::print(&printed)
}

async fn ls(
    webhooks: &Webhooks,
    output: Output,
    only: Option<String>,
    states: &[State],
    limit: u32,
) -> Result<String, Failure> {
    if let Some(name) = &only {
        find(webhooks, name)?;
    }
    let mut endpoints = Vec::new();
    let shown = |endpoint: &&std::sync::Arc<Endpoint>| {
        only.as_ref().is_none_or(|name| *name == endpoint.name)
    };
    for endpoint in webhooks.endpoints().iter().filter(shown) {
        let totals = webhooks.totals(endpoint).await.map_err(failed)?;
        endpoints.push((endpoint.name.clone(), totals));
    }
    let states = match states {
        [] => vec![DeliveryState::Pending, DeliveryState::Dead],
        states => states.iter().map(|state| state.state()).collect(),
    };
    let filter = DeliveryFilter {
        endpoint: only.clone(),
        states,
        limit,
    };
    let rows = webhooks.list(filter).await.map_err(failed)?;
    Ok(match output {
        Output::Json => {
            let endpoints: Vec<Value> = endpoints.iter().map(endpoint_json).collect();
            let deliveries: Vec<Value> = rows.iter().map(delivery_json).collect();
            format!(
                "{}\n",
                json!({"endpoints": endpoints, "deliveries": deliveries})
            )
        }
        Output::Table => {
            let headings = ["ENDPOINT", "STATUS", "PENDING", "DEAD", "DELIVERED"];
            let mut text = table(&headings, endpoints.iter().map(endpoint_cells));
            if !rows.is_empty() {
                let headings = [
                    "ENDPOINT",
                    "EVENT",
                    "TYPE",
                    "UPLOAD",
                    "SEQ",
                    "STATE",
                    "ATTEMPTS",
                    "NEXT AT",
                    "LAST ERROR",
                ];
                text.push('\n');
                text.push_str(&table(&headings, rows.iter().map(delivery_cells)));
            }
            text
        }
    })
}

async fn test(webhooks: &Webhooks, output: Output, name: &str) -> Result<String, Failure> {
    let endpoint = find(webhooks, name)?;
    let status = webhooks
        .test(endpoint)
        .await
        .map_err(|error| Failure::Runtime(format!("{name} did not accept the event: {error}")))?;
    Ok(match output {
        Output::Json => format!("{}\n", json!({"endpoint": name, "status": status})),
        Output::Table => format!("{name} accepted the event (status {status})\n"),
    })
}

async fn replay(
    webhooks: &Webhooks,
    output: Output,
    name: &str,
    events: &[String],
    enable: bool,
) -> Result<String, Failure> {
    let endpoint = find(webhooks, name)?;
    let parse = |text: &String| {
        EventId::parse(text)
            .map_err(|_| Failure::Usage(format!("--event {text}: must be an event's id, evt_…")))
    };
    let ids = events.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let totals = webhooks.totals(endpoint).await.map_err(failed)?;
    match totals.disabled {
        Some(_) if enable => drop(webhooks.enable(endpoint).await.map_err(failed)?),
        Some((at, reason)) => {
            return Err(Failure::Runtime(format!(
                "{name} has been disabled since {}: {reason}; --enable enables it",
                text_of(&at.naive_utc())
            )));
        }
        None => {}
    }
    let (by, mut count) = (operator().name(), 0);
    tracing::info!(
        by,
        endpoint = name,
        ?events,
        enable,
        "manual action: replay"
    );
    for (id, text) in ids.iter().zip(events) {
        if !webhooks.replay(endpoint, *id, &by).await.map_err(failed)? {
            return Err(Failure::Runtime(format!("the event {text} does not exist")));
        }
        count += 1;
    }
    if ids.is_empty() {
        count = webhooks.replay_dead(endpoint, &by).await.map_err(failed)?;
    }
    Ok(match output {
        Output::Json => format!("{}\n", json!({"endpoint": name, "replayed": count})),
        Output::Table => format!("{count} deliveries to {name} are pending again\n"),
    })
}

fn find<'w>(webhooks: &'w Webhooks, name: &str) -> Result<&'w Endpoint, Failure> {
    let found = webhooks.endpoint(name).map(|endpoint| &**endpoint);
    found.ok_or_else(|| {
        let known: Vec<&str> = webhooks
            .endpoints()
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        let known = match known.as_slice() {
            [] => "none is configured".to_owned(),
            known => format!("configured: {}", known.join(", ")),
        };
        Failure::Usage(format!(
            "the webhook endpoint {name} does not exist; {known}"
        ))
    })
}

fn failed(error: crate::db::DbError) -> Failure {
    Failure::Runtime(error.to_string())
}

/// A time as RFC 3339 text.
fn text_of(at: &NaiveDateTime) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An endpoint as JSON.
fn endpoint_json((name, totals): &(String, EndpointTotals)) -> Value {
    let disabled = totals
        .disabled
        .as_ref()
        .map(|(at, reason)| json!({"at": text_of(&at.naive_utc()), "reason": reason}));
    json!({
        "name": name, "disabled": disabled, "pending": totals.pending, "dead": totals.dead,
        "delivered": totals.delivered, "next_at": totals.next_at.map(|at| text_of(&at.naive_utc())),
    })
}

/// An endpoint as a table row.
fn endpoint_cells((name, totals): &(String, EndpointTotals)) -> Vec<String> {
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

/// A delivery as JSON.
fn delivery_json(row: &DeliveryRow) -> Value {
    json!({
        "endpoint": row.endpoint, "event_id": row.event_id, "type": row.event_type, "upload_id": row.upload_id,
        "seq": row.seq, "state": row.state, "attempts": row.attempts, "next_at": next_of(row),
        "last_at": row.last_at.as_ref().map(text_of), "last_status": row.last_status, "last_error": row.last_error,
    })
}

/// When a pending delivery is attempted next.
fn next_of(row: &DeliveryRow) -> Option<String> {
    (row.state == DeliveryState::Pending.as_str()).then(|| text_of(&row.next_at))
}

/// A delivery as a table row.
fn delivery_cells(row: &DeliveryRow) -> Vec<String> {
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
