//! `bytepass webhooks`: looks at deliveries, tries an endpoint, and delivers again what is dead. It works on the database and
//! the network itself, so it needs no running broker; one that runs sees what it replays within a second.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::app;
use crate::db::{Db, DeliveryFilter, DeliveryState, PendingQuota};
use crate::domain::ids::EventId;
use crate::telemetry::metrics::Metrics;
use crate::webhooks::{Endpoint, Webhooks};

use super::outcome::{self, Failure};
use super::serve;
use super::table::table;
use super::webhooks_words::{
    delivery_cells, delivery_json, endpoint_cells, endpoint_json, text_of,
};
use crate::cli::offline::{ByHand, Needs, Output, operator};

#[derive(Debug, Args)]
pub struct WebhooksArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    by_hand: ByHand,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the endpoints, and the deliveries that have not arrived
    Ls {
        /// Only of this endpoint
        #[arg(long, value_name = "NAME")]
        endpoint: Option<String>,
        /// Only in this state; may be repeated [default: pending and dead]
        #[arg(long = "state", value_enum, value_name = "STATE")]
        states: Vec<State>,
        /// At most so many deliveries, the newest events first
        #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Send a signed bytepass.test to an endpoint, at once and once
    Test {
        /// The endpoint's name
        endpoint: String,
    },
    /// Deliver again: these events, or everything that is dead
    Replay {
        /// The endpoint's name
        endpoint: String,
        /// An event to deliver, whatever became of it; may be repeated [default: all that are dead]
        #[arg(long = "event", value_name = "EVENT_ID")]
        events: Vec<String>,
        /// Call the endpoint again although it answered 410
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
    let config = args.by_hand.config(Needs::Rows)?;
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
    let output = args.by_hand.output;
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
            let heads = ["ENDPOINT", "STATUS", "PENDING", "DEAD", "DELIVERED"];
            let mut text = table(&heads, endpoints.iter().map(endpoint_cells));
            if !rows.is_empty() {
                let heads = [
                    "ENDPOINT",
                    "EVENT",
                    "TYPE",
                    "UPLOAD",
                    "SEQ",
                    "STATE",
                    "TRIES",
                    "NEXT",
                    "LAST ERROR",
                ];
                text.push('\n');
                text.push_str(&table(&heads, rows.iter().map(delivery_cells)));
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
        .map_err(|error| Failure::Runtime(format!("{name} did not take it: {error}")))?;
    Ok(match output {
        Output::Json => format!("{}\n", json!({"endpoint": name, "status": status})),
        Output::Table => format!("{name} took it (status {status})\n"),
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
                "{name} is disabled since {}, because {reason}; --enable ends that",
                text_of(&at.naive_utc())
            )));
        }
        None => {}
    }
    let (by, mut count) = (operator().name(), 0);
    tracing::info!(by, endpoint = name, ?events, enable, "a replay by hand");
    for (id, text) in ids.iter().zip(events) {
        if !webhooks.replay(endpoint, *id, &by).await.map_err(failed)? {
            return Err(Failure::Runtime(format!(
                "there is no event {text} to deliver"
            )));
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
            known => format!("there are {}", known.join(", ")),
        };
        Failure::Usage(format!("no webhook endpoint is named {name}; {known}"))
    })
}

fn failed(error: crate::db::DbError) -> Failure {
    Failure::Runtime(error.to_string())
}
