//! Webhooks: delivers outbox rows as signed requests, by Standard Webhooks 1.0.
//!
//! `workers` claims and delivers; `cli` lists, tests and replays. Guarantees: each event is delivered at least once, under its own
//! id and with the same bytes in every attempt; the events of one upload reach an endpoint in order, because only an upload's
//! earliest pending event can be claimed. Events of different uploads have no order. The address of an endpoint is checked when the
//! connection is made.

mod endpoint;
mod schedule;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use tokio::sync::watch;

use crate::config::WebhookSettings;
use crate::db::{
    Attempt, ClaimRequest, Db, DbError, DeliveryClaim, DeliveryFilter, DeliveryRow, EndpointTotals,
    Outcome, Replay, Subscription,
};
use crate::domain::ids::EventId;
use crate::outbound::{Limits, Outbound};
use crate::telemetry::metrics::Metrics;

pub use endpoint::{Endpoint, WebhookError};
use schedule::Answer;

/// How often the result of an attempt is written to a busy database before the claim is left to expire.
const RECORD_TRIES: u32 = 3;
/// The pause between these writes.
const RECORD_PAUSE: Duration = Duration::from_millis(200);
/// The most dead deliveries that one write replays.
const REPLAY_BATCH: u32 = 500;

/// A delivery that this process has claimed.
pub struct ClaimedDelivery {
    claim: DeliveryClaim,
    claimed_at: Instant,
}

/// The events that each endpoint receives, for the outbox.
pub fn subscriptions(settings: &WebhookSettings) -> Vec<Subscription> {
    let endpoints = settings.endpoints.iter();
    let subscription = endpoints.map(|endpoint| Subscription {
        endpoint: endpoint.name.clone(),
        types: endpoint.types.clone(),
    });
    subscription.collect()
}

impl ClaimedDelivery {
    /// The event to deliver.
    pub fn event(&self) -> &EventId {
        &self.claim.event
    }
}

/// The endpoints and their deliveries. Clones share everything.
#[derive(Clone)]
pub struct Webhooks(Arc<Inner>);

struct Inner {
    endpoints: Vec<Arc<Endpoint>>,
    settings: WebhookSettings,
    db: Db,
    outbound: Outbound,
    metrics: Metrics,
}

impl Webhooks {
    /// Prepares the endpoints, without calling them. Fails if one can't be used as configured.
    pub fn new(
        settings: &WebhookSettings,
        db: Db,
        outbound: Outbound,
        metrics: Metrics,
    ) -> Result<Webhooks, WebhookError> {
        let endpoints = settings.endpoints.iter();
        let endpoints = endpoints.map(|endpoint| Endpoint::new(endpoint).map(Arc::new));
        Ok(Webhooks(Arc::new(Inner {
            endpoints: endpoints.collect::<Result<_, _>>()?,
            settings: settings.clone(),
            db,
            outbound,
            metrics,
        })))
    }

    /// The checks of [`Webhooks::new`], without a database.
    pub fn check(settings: &WebhookSettings) -> Result<(), WebhookError> {
        let mut endpoints = settings.endpoints.iter();
        endpoints.try_for_each(|endpoint| Endpoint::new(endpoint).map(drop))
    }

    /// The endpoints.
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.0.endpoints
    }

    /// The endpoint with this name.
    pub fn endpoint(&self, name: &str) -> Option<&Arc<Endpoint>> {
        self.0.endpoints.iter().find(|it| it.name == name)
    }

    /// Changes when this process has committed new deliveries.
    pub fn new_deliveries(&self) -> watch::Receiver<u64> {
        self.0.db.new_deliveries()
    }

    /// Claims an endpoint's due deliveries, at most `limit`.
    pub async fn claim(
        &self,
        endpoint: &Endpoint,
        limit: usize,
    ) -> Result<Vec<ClaimedDelivery>, DbError> {
        let (now, claimed_at) = (Utc::now(), Instant::now());
        let request = ClaimRequest {
            endpoint: endpoint.name.clone(),
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            now,
            until: now + TimeDelta::seconds(i64::from(self.0.settings.lease_secs)),
        };
        let claims = self.0.db.claim_deliveries(request).await?;
        let claimed = |claim| ClaimedDelivery { claim, claimed_at };
        Ok(claims.into_iter().map(claimed).collect())
    }

    /// Makes one attempt and records its result. Does nothing if the claim could expire before the attempt ends: another broker might
    /// then deliver the same event, and the order of the upload's events would be lost.
    pub async fn deliver(&self, endpoint: &Endpoint, delivery: ClaimedDelivery) {
        let ClaimedDelivery { claim, claimed_at } = delivery;
        let settings = &self.0.settings;
        let claim_lifetime = Duration::from_secs(u64::from(settings.lease_secs));
        if claimed_at.elapsed() + Duration::from_millis(settings.timeout_ms) > claim_lifetime {
            return;
        }
        let id = claim.event.to_string();
        let answer = self.send(endpoint, &id, claim.body.clone()).await;
        let now = Utc::now();
        let outcome = schedule::outcome(settings, &answer, claim.attempts, now, rand::random());
        log_outcome(endpoint, &claim, &answer, &outcome);
        let result = match outcome {
            Outcome::Delivered => "delivered",
            Outcome::Retry(_) => "failed",
            Outcome::Dead => "dead",
            Outcome::Gone => "gone",
        };
        self.0.metrics.webhook_attempted(&endpoint.name, result);
        let attempt = Attempt {
            endpoint: endpoint.name.clone(),
            delivery: claim,
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
                    tracing::warn!(endpoint = attempt.endpoint, %error, "delivery result not recorded yet");
                }
            }
            tokio::time::sleep(RECORD_PAUSE).await;
        }
    }

    async fn send(&self, endpoint: &Endpoint, id: &str, body: String) -> Answer {
        let limits = Limits {
            max_bytes: self.0.settings.max_response_bytes,
            deadline: Duration::from_millis(self.0.settings.timeout_ms),
        };
        endpoint.post(&self.0.outbound, id, body, limits).await
    }

    /// Sends one signed `bytepass.test` event to an endpoint, without retries; returns the status, or what went wrong.
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

    /// Deliveries, newest event first.
    pub async fn list(&self, filter: DeliveryFilter) -> Result<Vec<DeliveryRow>, DbError> {
        self.0.db.list_deliveries(filter).await
    }

    /// The counts of an endpoint's deliveries, and whether it is disabled.
    pub async fn totals(&self, endpoint: &Endpoint) -> Result<EndpointTotals, DbError> {
        self.0.db.endpoint_totals(&endpoint.name).await
    }

    /// Makes one event due again, whatever its state. False if no event has this id, or its body is no longer kept.
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

    /// Makes every delivery due again that is dead now; returns how many.
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

    /// Enables an endpoint that answered 410. False if it was not disabled.
    pub async fn enable(&self, endpoint: &Endpoint) -> Result<bool, DbError> {
        self.0.db.enable_endpoint(&endpoint.name).await
    }
}

fn log_outcome(endpoint: &Endpoint, delivery: &DeliveryClaim, answer: &Answer, outcome: &Outcome) {
    let (endpoint, event) = (endpoint.name.as_str(), delivery.event);
    let error = answer.error.as_deref().unwrap_or_default();
    match outcome {
        Outcome::Delivered => tracing::debug!(endpoint, %event, "webhook delivered"),
        Outcome::Retry(at) => {
            tracing::info!(endpoint, %event, error, next_at = %at, "webhook delivery failed")
        }
        Outcome::Dead => {
            tracing::warn!(endpoint, %event, error, "webhook delivery dead; replay it with `bytepass webhooks replay`")
        }
        Outcome::Gone => tracing::warn!(
            endpoint,
            "webhook endpoint answered 410 and is disabled; enable it with `bytepass webhooks replay --enable`"
        ),
    }
}
