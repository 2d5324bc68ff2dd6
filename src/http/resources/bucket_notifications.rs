//! `POST /v1/events/s3`: bucket notifications about new objects.
//!
//! A notification only triggers a confirm. Entries about other buckets, other keys or other events are counted and answered with
//! 200, because the sender would deliver a failed notification again.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{EventSenders, SnsKind, SnsMessage};
use crate::broker::{Broker, NotificationOutcome};
use crate::telemetry::metrics::Metrics;

use super::s3_notification::{self, Entry};
use crate::http::examples;
use crate::http::extract::bucket_notification::{NotificationBody, sender_problem};
use crate::http::problem::{Code, Problem};

/// When the sender should retry, in seconds.
const RETRY_AFTER_SECS: u32 = 5;

/// How many entries of a notification were accepted.
#[derive(Serialize, ToSchema, Default)]
#[schema(as = EventAnswer)]
pub struct EventView {
    /// Entries that led to a confirm, which runs in the background.
    taken: u32,
    /// All other entries.
    ignored: u32,
}

/// Receive a bucket notification
///
/// For the bucket, not for clients: notifications from S3 through SNS, from EventBridge, MinIO and Ceph. An SNS message is
/// authenticated by its signature (`events.sns_topics`), any other by a secret (`events.secret`). Each entry that names the staging
/// object of a pending upload triggers the same confirm as a client's request; all others are counted and ignored. HEAD returns 200.
#[utoipa::path(
    post, path = "/v1/events/s3", tag = "Operations", operation_id = "receiveS3Event",
    security(("eventSecret" = []), ("eventPassword" = []), ("snsSignature" = [])),
    request_body(content = Object, description = "The notification, in the sender's format.",
        content_type = "application/json", example = json!(examples::s3_event())),
    responses(
        (status = 200, description = "The notification was received; `taken` and `ignored` count its entries.", body = EventView,
            example = json!({"taken": 1, "ignored": 0})),
    )
)]
pub async fn receive(
    notification: NotificationBody,
    senders: web::Data<EventSenders>,
    broker: web::Data<Broker>,
    metrics: web::Data<Metrics>,
) -> Result<HttpResponse, Problem> {
    let body = match &notification {
        NotificationBody::Plain(body) => body.as_ref(),
        NotificationBody::Sns(message) if message.kind() == SnsKind::Notification => {
            message.message().as_bytes()
        }
        NotificationBody::Sns(message) => {
            return subscription(message, &senders, &metrics).await;
        }
    };
    let view = confirm_entries(body, &broker, &metrics)?;
    Ok(HttpResponse::Ok().json(view))
}

/// Confirms a subscription of SNS, or logs its end.
async fn subscription(
    message: &SnsMessage,
    senders: &EventSenders,
    metrics: &Metrics,
) -> Result<HttpResponse, Problem> {
    let outcome = if message.kind() == SnsKind::SubscriptionConfirmation {
        senders.subscribe(message).await.map_err(sender_problem)?;
        "subscribed"
    } else {
        tracing::warn!(topic = message.topic(), "SNS subscription ended");
        "unsubscribed"
    };
    metrics.s3_event("sns", outcome);
    Ok(HttpResponse::Ok().json(EventView::default()))
}

/// Starts a confirm for each entry that names a staging object, and counts all entries.
fn confirm_entries(body: &[u8], broker: &Broker, metrics: &Metrics) -> Result<EventView, Problem> {
    let (shape, entries) = s3_notification::read(body);
    let (mut view, mut full) = (EventView::default(), false);
    for entry in entries {
        let outcome = EntryOutcome::of(&entry, broker);
        metrics.s3_event(shape, outcome.label());
        match outcome {
            EntryOutcome::Notified(NotificationOutcome::Taken) => view.taken += 1,
            EntryOutcome::Notified(NotificationOutcome::Full) => full = true,
            _ => view.ignored += 1,
        }
    }
    if full {
        // The sender then repeats the whole notification. Confirming an entry again finds its upload settled.
        let detail = "the queue of notifications is full; send this one again";
        return Err(Problem::unavailable(
            Code::StoreUnavailable,
            detail,
            RETRY_AFTER_SECS,
        ));
    }
    Ok(view)
}

/// MinIO checks with HEAD that its target is reachable.
pub async fn head() -> HttpResponse {
    HttpResponse::Ok().finish()
}

/// The outcome of one entry.
#[derive(Clone, Copy)]
enum EntryOutcome {
    /// It names a new object, and the broker was notified.
    Notified(NotificationOutcome),
    OtherEvent,
    Test,
    Unreadable,
}

impl EntryOutcome {
    /// Notifies the broker of a new object.
    fn of(entry: &Entry, broker: &Broker) -> EntryOutcome {
        match entry {
            Entry::Created { bucket, key } => {
                EntryOutcome::Notified(broker.notify_object(bucket, key))
            }
            Entry::Other => EntryOutcome::OtherEvent,
            Entry::Test => EntryOutcome::Test,
            Entry::Unreadable => EntryOutcome::Unreadable,
        }
    }

    /// The label `outcome` of the metric.
    fn label(self) -> &'static str {
        match self {
            EntryOutcome::Notified(NotificationOutcome::Taken) => "taken",
            EntryOutcome::Notified(NotificationOutcome::OtherBucket) => "other_bucket",
            EntryOutcome::Notified(NotificationOutcome::OtherKey) => "other_key",
            EntryOutcome::Notified(NotificationOutcome::Full) => "full",
            EntryOutcome::OtherEvent => "other_event",
            EntryOutcome::Test => "test",
            EntryOutcome::Unreadable => "unreadable",
        }
    }
}
