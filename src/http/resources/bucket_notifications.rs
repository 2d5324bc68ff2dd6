//! `POST /v1/events/s3`: the bucket says that an object arrived.
//!
//! A hint only. What a proven sender says about other buckets, other keys and other happenings is counted and answered with 200,
//! because an error would only make it come again.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{EventSenders, SnsKind};
use crate::broker::{Broker, HintOutcome};
use crate::telemetry::metrics::Metrics;

use super::s3_notification::{self, Record, Shape};
use crate::http::examples;
use crate::http::extract::bucket_notification::{Delivered, refused};
use crate::http::problem::{Code, Problem};

/// When a sender should come back, in seconds.
const RETRY_AFTER_SECS: u32 = 5;

/// What became of the records of one event.
#[derive(Serialize, ToSchema, Default)]
#[schema(as = EventAnswer)]
pub struct EventView {
    /// How many lead to a confirm, which goes on in the background.
    taken: u32,
    /// How many are about something else.
    ignored: u32,
}

/// Tell of objects that arrived
///
/// For the bucket, not for clients: S3's notifications through SNS, EventBridge, MinIO's and Ceph's. A message of SNS is believed by
/// its signature (`events.sns_topics`), everything else by a secret (`events.secret`). Each record that names a staged upload leads to
/// the same confirm that its client could ask for; all others are counted and ignored. A HEAD answers 200.
#[utoipa::path(
    post, path = "/v1/events/s3", tag = "Operations", operation_id = "receiveS3Event",
    security(("eventSecret" = []), ("eventPassword" = []), ("snsSignature" = [])),
    request_body(content = Object, description = "The store's document, in its own shape.",
        content_type = "application/json", example = json!(examples::s3_event())),
    responses(
        (status = 200, description = "Understood, whatever it says.", body = EventView,
            example = json!({"taken": 1, "ignored": 0})),
    )
)]
pub async fn receive(
    delivered: Delivered,
    senders: web::Data<EventSenders>,
    broker: web::Data<Broker>,
    metrics: web::Data<Metrics>,
) -> Result<HttpResponse, Problem> {
    let count = |shape: Shape, outcome| metrics.s3_event(shape, outcome);
    let body = match &delivered {
        Delivered::Plain(body) => body.as_ref(),
        Delivered::Sns(message) => match message.kind() {
            SnsKind::Notification => message.message().as_bytes(),
            SnsKind::SubscriptionConfirmation => {
                senders.subscribe(message).await.map_err(refused)?;
                count("sns", "subscribed");
                return Ok(HttpResponse::Ok().json(EventView::default()));
            }
            SnsKind::UnsubscribeConfirmation => {
                tracing::warn!(
                    topic = message.topic(),
                    "the subscription to the topic has ended"
                );
                count("sns", "unsubscribed");
                return Ok(HttpResponse::Ok().json(EventView::default()));
            }
        },
    };
    let (shape, records) = s3_notification::read(body);
    let (mut view, mut full) = (EventView::default(), false);
    for record in records {
        let outcome = take(&broker, &record);
        count(shape, outcome);
        full |= outcome == "full";
        match outcome {
            "taken" => view.taken += 1,
            _ => view.ignored += 1,
        }
    }
    // All of it comes again then; a hint that was taken already finds its upload settled.
    match full {
        false => Ok(HttpResponse::Ok().json(view)),
        true => Err(Problem::unavailable(
            Code::StoreUnavailable,
            "too many events wait already; send this one again",
            RETRY_AFTER_SECS,
        )),
    }
}

/// The store asks whether anybody listens.
pub async fn is_there() -> HttpResponse {
    HttpResponse::Ok().finish()
}

fn take(broker: &Broker, record: &Record) -> &'static str {
    match record {
        Record::Created { bucket, key } => match broker.hint(bucket, key) {
            HintOutcome::Taken => "taken",
            HintOutcome::OtherBucket => "other_bucket",
            HintOutcome::OtherKey => "other_key",
            HintOutcome::Full => "full",
        },
        Record::Other => "other_event",
        Record::Test => "test",
        Record::Unreadable => "unreadable",
    }
}
