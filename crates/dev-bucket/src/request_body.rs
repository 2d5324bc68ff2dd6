//! A request's body with two limits: on the pause between two chunks, and on how much of a refused body is drained.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use s3s::StdError;
use tokio::time::{Instant, Sleep};

/// The message for a body that paused longer than [`IDLE`].
pub(super) const TOO_SLOW: &str = "the body did not arrive in time";

/// The longest pause between two chunks.
const IDLE: Duration = Duration::from_secs(30);

/// A refused body is drained up to this many bytes, so that the client reads the response instead of a connection reset.
const DRAIN_BYTES: usize = 16 * 1024 * 1024;

/// The time limit for draining.
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
    /// Wraps hyper's body.
    pub(super) fn new(incoming: Incoming) -> RequestBody {
        RequestBody(Arc::new(Mutex::new(Inner {
            incoming,
            idle: Box::pin(tokio::time::sleep(IDLE)),
            begun: false,
        })))
    }

    /// Reads and discards the rest of the body, within the limits. With `expects_continue` the client has not sent anything yet.
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
        // After a timeout the connection is closed.
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
