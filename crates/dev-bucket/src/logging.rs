//! Logging of the server's threads: only events of this crate, because s3s logs whole requests with their signatures.

use s3s::S3Error;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// Passes events of this crate on to the caller's subscriber.
pub(super) struct OwnEvents(Dispatch);

impl OwnEvents {
    /// Wraps the subscriber that is current on this thread.
    pub(super) fn of_current_subscriber() -> Dispatch {
        Dispatch::new(OwnEvents(tracing::dispatcher::get_default(Dispatch::clone)))
    }
}

/// Makes this the thread's subscriber as long as the thread lives.
pub(super) fn set_for_thread(log: &Dispatch) {
    // Dropping the guard would end it.
    std::mem::forget(tracing::dispatcher::set_default(log));
}

/// `InternalError`. The cause is logged and not sent to the client.
pub(super) fn internal<E>(error: E) -> S3Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    tracing::error!(%error, "development bucket failed");
    S3Error::internal_error(error)
}

impl Subscriber for OwnEvents {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_own(metadata) {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_own(metadata) && self.0.enabled(metadata)
    }

    // Without a hint, every library in the process would enable its trace events.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.0.new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.0.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.0.record_follows_from(span, follows);
    }

    fn event(&self, event: &Event<'_>) {
        self.0.event(event);
    }

    fn enter(&self, span: &Id) {
        self.0.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.0.exit(span);
    }
}

fn is_own(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
}
