//! The body of a bucket notification from an authenticated sender.
//!
//! The secret of `events.secret` is checked before the body is read. An SNS message is authenticated by the signature inside its
//! body, so such bodies are read first: few at a time, and for a short time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};
use bytes::Bytes;
use chrono::Utc;
use futures::future::LocalBoxFuture;

use super::body;
use crate::auth::{AuthError, EventSenders, SnsMessage};
use crate::http::limits::requests::RequestLimits;
use crate::http::problem::{Code, Problem};

/// The longest body, in bytes: SNS's longest message of 256 KiB, with its escapes and its envelope.
const MAX_BYTES: usize = 320 * 1024;
/// Bodies of unauthenticated senders that are held at once, each of at most [`MAX_BYTES`].
const MAX_UNVERIFIED: usize = 64;
/// The same for one address, so that it cannot occupy all slots.
const MAX_UNVERIFIED_PER_ADDRESS: usize = 8;
/// The time in which such a body has to arrive. SNS sends it at once, and a slow sender occupies a slot.
const UNVERIFIED_TIMEOUT: Duration = Duration::from_secs(3);
/// SNS sends this header with each message. Its presence proves nothing.
const SNS_HEADER: &str = "x-amz-sns-message-type";
/// When the sender should retry, in seconds.
const RETRY_AFTER_SECS: u32 = 5;

/// The senders whose unauthenticated bodies are being read or verified, one entry per body, over all workers. Clones share it.
#[derive(Clone, Default)]
pub struct UnverifiedBodies(Arc<Mutex<Vec<u64>>>);

/// One of the slots; freed when dropped.
struct Slot {
    bodies: UnverifiedBodies,
    sender: u64,
}

impl UnverifiedBodies {
    fn take(&self, sender: u64) -> Option<Slot> {
        let mut held = self.held();
        let own = held.iter().filter(|it| **it == sender).count();
        let free = held.len() < MAX_UNVERIFIED && own < MAX_UNVERIFIED_PER_ADDRESS;
        free.then(|| {
            held.push(sender);
            let bodies = self.clone();
            Slot { bodies, sender }
        })
    }

    fn held(&self) -> MutexGuard<'_, Vec<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = self.bodies.held();
        if let Some(at) = held.iter().position(|it| *it == self.sender) {
            held.swap_remove(at);
        }
    }
}

/// The body of an authenticated sender.
pub enum NotificationBody {
    /// A message of a configured topic, with a valid signature of SNS.
    Sns(Box<SnsMessage>),
    /// A body that was sent with the secret.
    Plain(Bytes),
}

impl FromRequest for NotificationBody {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<NotificationBody, Problem>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move { read(&req, payload).await })
    }
}

async fn read(req: &HttpRequest, payload: Payload) -> Result<NotificationBody, Problem> {
    let senders = req
        .app_data::<web::Data<EventSenders>>()
        .cloned()
        .ok_or_else(|| Problem::internal("EventSenders is missing in the app data"))?;
    let with_secret = check_secret(req, &senders)?;
    let sender = sender_of(req);
    let (_slot, timeout) = match with_secret {
        true => (None, Duration::MAX),
        false if senders.expects_sns() && req.headers().contains_key(SNS_HEADER) => {
            (Some(slot_for(req, sender)?), UNVERIFIED_TIMEOUT)
        }
        false => return Err(Problem::sender_missing()),
    };
    let body = body::read_any_type(req, payload, MAX_BYTES, timeout).await?;
    match SnsMessage::parse(&body) {
        // A signed message is verified by its signature, even if the request carries the secret.
        Some(message) => {
            senders
                .verify(&message, sender, Utc::now())
                .await
                .map_err(sender_problem)?;
            Ok(NotificationBody::Sns(Box::new(message)))
        }
        None if with_secret => Ok(NotificationBody::Plain(body)),
        None => Err(Problem::sender_missing()),
    }
}

fn slot_for(req: &HttpRequest, sender: u64) -> Result<Slot, Problem> {
    let bodies = req
        .app_data::<web::Data<UnverifiedBodies>>()
        .ok_or_else(|| Problem::internal("UnverifiedBodies is missing in the app data"))?;
    bodies.take(sender).ok_or_else(|| {
        let detail = "too many SNS messages at once; send this one again";
        Problem::unavailable(Code::IssuerUnavailable, detail, RETRY_AFTER_SECS)
    })
}

fn sender_of(req: &HttpRequest) -> u64 {
    let limits = req.app_data::<web::Data<RequestLimits>>();
    limits.map_or(0, |it| it.client_key(req.peer_addr(), req.headers()))
}

/// Whether the request carries the secret. A wrong secret is an error.
fn check_secret(req: &HttpRequest, senders: &EventSenders) -> Result<bool, Problem> {
    let mut headers = req.headers().get_all(AUTHORIZATION);
    let Some(first) = headers.next() else {
        return Ok(false);
    };
    if headers.next().is_some() {
        let reason = "the request has more than one Authorization header";
        return Err(Problem::sender_invalid(reason));
    }
    let text = first.to_str().unwrap_or_default();
    senders.check_secret(text).map_err(sender_problem)?;
    Ok(true)
}

/// The problem for a sender that is not authenticated.
pub fn sender_problem(error: AuthError) -> Problem {
    match error {
        AuthError::Missing => Problem::sender_missing(),
        AuthError::Invalid { reason } => Problem::sender_invalid(reason),
        AuthError::KeysUnavailable => Problem::unavailable(
            Code::IssuerUnavailable,
            "the certificate or the subscription confirmation of SNS cannot be fetched; the log contains the reason",
            RETRY_AFTER_SECS,
        ),
    }
}
