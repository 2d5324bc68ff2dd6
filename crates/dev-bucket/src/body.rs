//! A request's body with two bounds: it may not stand still for long, and what a refusal left unread is drained, but not for ever.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use s3s::StdError;
use tokio::time::{Instant, Sleep};

/// What the client is told whose body stood still.
pub(super) const TOO_SLOW: &str = "the body did not arrive in time";

/// The longest pause inside a body.
const IDLE: Duration = Duration::from_secs(30);

/// A refused body is drained up to this many bytes, so that the client reads the answer and not a reset connection.
const DRAIN_BYTES: usize = 16 * 1024 * 1024;

/// And for this long.
const DRAIN_TIME: Duration = Duration::from_secs(5);

struct Inner {
    incoming: Incoming,
    idle: Pin<Box<Sleep>>,
    begun: bool,
}

/// The body; clones share it.
#[derive(Clone)]
pub(super) struct RequestBody(Arc<Mutex<Inner>>);

impl RequestBody {
    /// Wraps what hyper hands over.
    pub(super) fn new(incoming: Incoming) -> RequestBody {
        RequestBody(Arc::new(Mutex::new(Inner {
            incoming,
            idle: Box::pin(tokio::time::sleep(IDLE)),
            begun: false,
        })))
    }

    /// Reads what is left and forgets it, within bounds. `expects_continue`: the client waits before it sends, so nothing is left.
    pub(super) async fn drain(mut self, expects_continue: bool) {
        let begun = self.0.lock().unwrap_or_else(PoisonError::into_inner).begun;
        if self.is_end_stream() || (expects_continue && !begun) {
            return;
        }
        let read = async {
            let mut bytes = 0;
            while let Some(Ok(frame)) = self.frame().await {
                bytes += frame.data_ref().map_or(0, Bytes::len);
                if bytes > DRAIN_BYTES {
                    break;
                }
            }
        };
        // Running out of time ends in a closed connection, which is what the bound is for.
        let _ = tokio::time::timeout(DRAIN_TIME, read).await;
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !inner.begun {
            inner.begun = true;
            inner.idle.as_mut().reset(Instant::now() + IDLE);
        }
        if let Poll::Ready(frame) = Pin::new(&mut inner.incoming).poll_frame(context) {
            inner.idle.as_mut().reset(Instant::now() + IDLE);
            return Poll::Ready(frame.map(|result| result.map_err(Into::into)));
        }
        ready!(inner.idle.as_mut().poll(context));
        Poll::Ready(Some(Err(TOO_SLOW.into())))
    }

    fn is_end_stream(&self) -> bool {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.incoming.size_hint()
    }
}
