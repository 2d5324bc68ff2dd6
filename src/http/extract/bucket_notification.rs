//! The body of an event, from a sender that proved itself; from anybody else nothing is read that need not be.

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
use crate::http::middleware::rate_limits::RequestLimits;
use crate::http::problem::{Code, Problem};

/// The longest body, in bytes: SNS's longest message, 256 KiB, with its escapes and the envelope around it.
const MAX_BYTES: usize = 320 * 1024;
/// How many bodies of senders without a secret may be held at once, each of at most [`MAX_BYTES`].
const UNPROVEN_AT_ONCE: usize = 64;
/// How many of them one address may have, so that it can't take the places of all.
const UNPROVEN_OF_ONE: usize = 8;
/// In how much time such a body has to arrive: SNS's arrive at once, and who is slow holds a place.
const UNPROVEN_TIME: Duration = Duration::from_secs(3);
/// The header that SNS sends with each of its messages; its mere presence proves nothing.
const SNS_HEADER: &str = "x-amz-sns-message-type";
/// When a sender should come back, in seconds.
const RETRY_AFTER_SECS: u32 = 5;

/// Whose bodies that nothing vouches for yet are being read or judged, over all workers: one entry for each. Clones share it.
#[derive(Clone, Default)]
pub struct Unproven(Arc<Mutex<Vec<u64>>>);

/// A place among them; given back when dropped.
struct Place {
    of: Unproven,
    sender: u64,
}

impl Unproven {
    fn take(&self, sender: u64) -> Option<Place> {
        let mut held = self.held();
        let own = held.iter().filter(|it| **it == sender).count();
        let free = held.len() < UNPROVEN_AT_ONCE && own < UNPROVEN_OF_ONE;
        free.then(|| {
            held.push(sender);
            let of = self.clone();
            Place { of, sender }
        })
    }

    fn held(&self) -> MutexGuard<'_, Vec<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.of.held();
        if let Some(at) = held.iter().position(|it| *it == self.sender) {
            held.swap_remove(at);
        }
    }
}

/// What a proven sender sent.
pub enum Delivered {
    /// A message whose signature is SNS's, for a configured topic.
    Sns(Box<SnsMessage>),
    /// A body that came with the secret.
    Plain(Bytes),
}

impl FromRequest for Delivered {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Delivered, Problem>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move { read(&req, payload).await })
    }
}

async fn read(req: &HttpRequest, payload: Payload) -> Result<Delivered, Problem> {
    let senders = req
        .app_data::<web::Data<EventSenders>>()
        .cloned()
        .ok_or_else(|| Problem::internal("the server has no senders of events"))?;
    let with_secret = check_secret(req, &senders)?;
    let sender = sender_of(req);
    let (_place, time) = match with_secret {
        true => (None, Duration::MAX),
        false if senders.expects_sns() && req.headers().contains_key(SNS_HEADER) => {
            (Some(place_of(req, sender)?), UNPROVEN_TIME)
        }
        false => return Err(Problem::sender_missing()),
    };
    let body = body::read_any_type(req, payload, MAX_BYTES, time).await?;
    match SnsMessage::parse(&body) {
        // A message that carries a signature is judged by it, whatever else came along.
        Some(message) => {
            let judged = senders.verify(&message, sender, Utc::now()).await;
            judged.map_err(refused)?;
            Ok(Delivered::Sns(Box::new(message)))
        }
        None if with_secret => Ok(Delivered::Plain(body)),
        None => Err(Problem::sender_missing()),
    }
}

fn place_of(req: &HttpRequest, sender: u64) -> Result<Place, Problem> {
    let places = req
        .app_data::<web::Data<Unproven>>()
        .ok_or_else(|| Problem::internal("the server has no places for messages"))?;
    places.take(sender).ok_or_else(busy)
}

fn sender_of(req: &HttpRequest) -> u64 {
    let limits = req.app_data::<web::Data<RequestLimits>>();
    limits.map_or(0, |it| it.sender(req.peer_addr(), req.headers()))
}

/// Whether the request carries the secret; a wrong one is an error, none is not.
fn check_secret(req: &HttpRequest, senders: &EventSenders) -> Result<bool, Problem> {
    let mut headers = req.headers().get_all(AUTHORIZATION);
    let Some(first) = headers.next() else {
        return Ok(false);
    };
    if headers.next().is_some() {
        let reason = "there is more than one Authorization header";
        return Err(Problem::sender_invalid(reason));
    }
    let text = first.to_str().unwrap_or_default();
    senders.check_secret(text).map_err(refused)?;
    Ok(true)
}

/// The problem for a sender that proved nothing.
pub fn refused(error: AuthError) -> Problem {
    match error {
        AuthError::Missing => Problem::sender_missing(),
        AuthError::Invalid { reason } => Problem::sender_invalid(reason),
        AuthError::KeysUnavailable => Problem::unavailable(
            Code::IssuerUnavailable,
            "SNS's certificate or its confirmation can't be fetched now; the log says why",
            RETRY_AFTER_SECS,
        ),
    }
}

fn busy() -> Problem {
    let detail = "too many messages at once; send it again";
    Problem::unavailable(Code::IssuerUnavailable, detail, RETRY_AFTER_SECS)
}
