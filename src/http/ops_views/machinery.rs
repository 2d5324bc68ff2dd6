//! How the machinery is doing: this broker, the bucket, the sweeper, the webhooks.

use serde::Serialize;
use utoipa::ToSchema;

use crate::broker::{BrokerNumbers, ConfirmTimes, EndpointState};
use crate::http::views::time;
use crate::telemetry::metrics::SweepNumbers;

/// What this broker did since its start.
#[derive(Serialize, ToSchema)]
#[schema(as = BrokerNumbers)]
pub struct BrokerView {
    /// When it started.
    #[schema(format = DateTime)]
    started_at: String,
    /// How long the uploads created since `since` took from create to confirm, through whichever broker.
    confirm: TimesView,
    /// Its calls to the bucket.
    store: Vec<CallsView>,
}

/// How long uploads took from create to confirm.
#[derive(Serialize, ToSchema)]
#[schema(as = Times)]
pub struct TimesView {
    /// How many uploads were confirmed.
    count: u64,
    /// The median, in seconds; null without any.
    p50_secs: Option<f64>,
    /// The 99th percentile, in seconds; null without any.
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
    /// How often it put something off: tried in vain, and to be tried again later.
    postponed: u64,
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

impl BrokerView {
    /// What the broker counted, and what the database knows of confirms.
    pub fn of(numbers: BrokerNumbers, confirm: ConfirmTimes) -> BrokerView {
        let calls = |(operation, code, count)| CallsView {
            operation,
            code,
            count,
        };
        BrokerView {
            started_at: time(numbers.started_at),
            confirm: TimesView {
                count: confirm.count,
                p50_secs: confirm.p50_secs,
                p99_secs: confirm.p99_secs,
            },
            store: numbers.store.into_iter().map(calls).collect(),
        }
    }
}

impl SweeperView {
    /// What the sweeper counted.
    pub fn of((kind, numbers): (String, SweepNumbers)) -> SweeperView {
        SweeperView {
            kind,
            last_ended_at: numbers.last_ended_at.map(time),
            done: numbers.done,
            postponed: numbers.postponed,
            failed: numbers.failed,
        }
    }
}

impl EndpointView {
    /// An endpoint as the database knows it.
    pub fn of(state: EndpointState) -> EndpointView {
        EndpointView {
            endpoint: state.endpoint,
            pending: state.pending,
            dead: state.dead,
            oldest_pending_at: state.oldest_pending_at.map(time),
            disabled: state.disabled,
        }
    }
}
