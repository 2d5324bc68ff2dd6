//! From outbox row to signed, delivered request, by Standard Webhooks 1.0.
//!
//! `workers` leases and delivers through it, `cli` looks, tests and replays. Its guarantees: at least once, under the event's id; the
//! same bytes in every attempt; per upload and endpoint in order, because only the earliest pending event of an upload can be
//! leased. Across uploads no order is promised. A target that may not be called is refused when the connection is made.

mod endpoint;
mod schedule;
mod send;
mod sign;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use tokio::sync::watch;

use crate::db::{
    Attempt, ClaimRequest, Db, DbError, DeliveryClaim, DeliveryFilter, DeliveryRow, EndpointTotals,
    Outcome, Replay,
};
use crate::domain::ids::EventId;
use crate::outbound::{Limits, Outbound};
use crate::telemetry::metrics::Metrics;

pub use endpoint::{Endpoint, EndpointOptions, WebhookError, WebhookOptions};
use schedule::{Answer, Schedule};

/// How often a result is offered to a database that is busy, before its lease is left to end.
const RECORD_TRIES: u32 = 3;
/// The pause between such offers.
const RECORD_PAUSE: Duration = Duration::from_millis(200);
/// The dead deliveries that one write replays.
const REPLAY_BATCH: u32 = 500;

/// A delivery that this process may make now.
pub struct ClaimedDelivery {
    leased: DeliveryClaim,
    leased_at: Instant,
}

impl ClaimedDelivery {
    /// The event that it carries.
    pub fn event(&self) -> &EventId {
        &self.leased.event
    }
}

/// Deliveries. Clones share everything.
#[derive(Clone)]
pub struct Webhooks(Arc<Inner>);

struct Inner {
    endpoints: Vec<Arc<Endpoint>>,
    options: WebhookOptions,
    schedule: Schedule,
    db: Db,
    outbound: Outbound,
    metrics: Metrics,
}

impl Webhooks {
    /// Prepares the endpoints. Errors where one can't be used as configured; nothing is called yet.
    pub fn new(
        options: WebhookOptions,
        db: Db,
        outbound: Outbound,
        metrics: Metrics,
    ) -> Result<Webhooks, WebhookError> {
        let endpoints: Result<Vec<_>, _> = options
            .endpoints
            .iter()
            .map(|endpoint| Endpoint::new(endpoint).map(Arc::new))
            .collect();
        let schedule = Schedule {
            pauses_secs: options.schedule_secs.clone(),
            jitter_percent: options.jitter_percent,
        };
        Ok(Webhooks(Arc::new(Inner {
            endpoints: endpoints?,
            options,
            schedule,
            db,
            outbound,
            metrics,
        })))
    }

    /// Holds what [`Webhooks::new`] would find wrong, without a database.
    pub fn check(options: &WebhookOptions) -> Result<(), WebhookError> {
        options
            .endpoints
            .iter()
            .try_for_each(|endpoint| Endpoint::new(endpoint).map(drop))
    }

    /// The endpoints.
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.0.endpoints
    }

    /// The endpoint with this name.
    pub fn endpoint(&self, name: &str) -> Option<&Arc<Endpoint>> {
        self.0.endpoints.iter().find(|it| it.name == name)
    }

    /// Changes when this process has committed something new to deliver.
    pub fn new_deliveries(&self) -> watch::Receiver<u64> {
        self.0.db.new_deliveries()
    }

    /// Leases what is due at an endpoint, at most so many.
    pub async fn claim(
        &self,
        endpoint: &Endpoint,
        limit: usize,
    ) -> Result<Vec<ClaimedDelivery>, DbError> {
        let (now, leased_at) = (Utc::now(), Instant::now());
        let lease = ClaimRequest {
            endpoint: endpoint.name.clone(),
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            now,
            until: now + TimeDelta::seconds(i64::from(self.0.options.lease_secs)),
        };
        let leased = self.0.db.claim_deliveries(lease).await?;
        let delivery = |leased| ClaimedDelivery { leased, leased_at };
        Ok(leased.into_iter().map(delivery).collect())
    }

    /// Makes one attempt and records what came of it. Does nothing when so much of the lease has passed that it could end
    /// before the attempt: another worker may then be at it, and the order of an upload's events would be lost.
    pub async fn deliver(&self, endpoint: &Endpoint, delivery: ClaimedDelivery) {
        let ClaimedDelivery { leased, leased_at } = delivery;
        let options = &self.0.options;
        let lease = Duration::from_secs(u64::from(options.lease_secs));
        if leased_at.elapsed() + Duration::from_millis(options.timeout_ms) > lease {
            return;
        }
        let id = leased.event.to_string();
        let answer = self.send(endpoint, &id, leased.body.clone()).await;
        let now = Utc::now();
        let outcome = self
            .0
            .schedule
            .outcome(&answer, leased.attempts, now, rand::random());
        report(endpoint, &leased, &answer, &outcome);
        let word = match outcome {
            Outcome::Delivered => "delivered",
            Outcome::Retry(_) => "failed",
            Outcome::Dead => "dead",
            Outcome::Gone => "gone",
        };
        self.0.metrics.webhook_attempted(&endpoint.name, word);
        let attempt = Attempt {
            endpoint: endpoint.name.clone(),
            delivery: leased,
            at: now,
            status: answer.status,
            error: answer.error,
            outcome,
        };
        self.record(attempt).await;
    }

    async fn record(&self, attempt: Attempt) {
        for _ in 0..RECORD_TRIES {
            match self.0.db.record_attempt(attempt.clone()).await {
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(endpoint = attempt.endpoint, %error, "a delivery's result is not recorded yet");
                }
            }
            tokio::time::sleep(RECORD_PAUSE).await;
        }
    }

    async fn send(&self, endpoint: &Endpoint, id: &str, body: String) -> Answer {
        let limits = Limits {
            max_bytes: self.0.options.max_response_bytes,
            deadline: Duration::from_millis(self.0.options.timeout_ms),
        };
        send::send(&self.0.outbound, endpoint, id, body, limits).await
    }

    /// Sends a signed `bytepass.test` to an endpoint, at once and once. The error says what is wrong.
    pub async fn test(&self, endpoint: &Endpoint) -> Result<u16, String> {
        let now = Utc::now();
        let id = EventId::new(now, &rand::random()).to_string();
        let body = serde_json::json!({
            "type": "bytepass.test",
            "timestamp": now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            "data": {"event_id": id},
        });
        let answer = self.send(endpoint, &id, body.to_string()).await;
        match (answer.error, answer.status) {
            (None, Some(status)) => Ok(status),
            (error, _) => Err(error.unwrap_or_default()),
        }
    }

    /// Deliveries as they stand, the newest event first.
    pub async fn list(&self, filter: DeliveryFilter) -> Result<Vec<DeliveryRow>, DbError> {
        self.0.db.list_deliveries(filter).await
    }

    /// How an endpoint stands.
    pub async fn totals(&self, endpoint: &Endpoint) -> Result<EndpointTotals, DbError> {
        self.0.db.endpoint_totals(&endpoint.name).await
    }

    /// Delivers one event again, whatever became of it. False if there is none with this id, or it is too old to have a body.
    pub async fn replay(
        &self,
        endpoint: &Endpoint,
        event: EventId,
        by: &str,
    ) -> Result<bool, DbError> {
        let replay = Replay::Event(event);
        let replayed = self
            .0
            .db
            .replay(&endpoint.name, replay, by, Utc::now())
            .await?;
        Ok(replayed > 0)
    }

    /// Delivers everything again that is dead now. How many it is.
    pub async fn replay_dead(&self, endpoint: &Endpoint, by: &str) -> Result<usize, DbError> {
        let (started, mut sum) = (Utc::now(), 0);
        loop {
            let replay = Replay::Dead(started, REPLAY_BATCH);
            let count = self
                .0
                .db
                .replay(&endpoint.name, replay, by, Utc::now())
                .await?;
            sum += count;
            if count < REPLAY_BATCH as usize {
                return Ok(sum);
            }
        }
    }

    /// Lets an endpoint be called again that had answered 410. False if it was not disabled.
    pub async fn enable(&self, endpoint: &Endpoint) -> Result<bool, DbError> {
        self.0.db.enable_endpoint(&endpoint.name).await
    }
}

fn report(endpoint: &Endpoint, delivery: &DeliveryClaim, answer: &Answer, outcome: &Outcome) {
    let (endpoint, event) = (endpoint.name.as_str(), delivery.event);
    let error = answer.error.as_deref().unwrap_or_default();
    match outcome {
        Outcome::Delivered => tracing::debug!(endpoint, %event, "delivered"),
        Outcome::Retry(at) => {
            tracing::info!(endpoint, %event, error, next_at = %at, "a delivery failed")
        }
        Outcome::Dead => {
            tracing::warn!(endpoint, %event, error, "a delivery is dead: `bytepass webhooks replay` makes it again")
        }
        Outcome::Gone => tracing::warn!(
            endpoint,
            "the endpoint answered 410 and is disabled: `bytepass webhooks replay --enable` ends that"
        ),
    }
}
