//! What the bucket's threads log: our own lines, and nothing of the libraries below, because s3s logs whole requests and a
//! request holds its signature.

use s3s::S3Error;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// Passes our own lines on to where the caller's lines go.
pub(super) struct OnlyOurs(Dispatch);

impl OnlyOurs {
    /// In front of the subscriber that is current where the bucket is started.
    pub(super) fn here() -> Dispatch {
        Dispatch::new(OnlyOurs(tracing::dispatcher::get_default(Dispatch::clone)))
    }
}

/// Makes this the thread's subscriber for as long as the thread lives.
pub(super) fn set_for_thread(log: &Dispatch) {
    // Dropping the guard would end it.
    std::mem::forget(tracing::dispatcher::set_default(log));
}

/// Something below failed that the client can do nothing about: the cause goes into the log, the client is told nothing.
pub(super) fn internal<E>(error: E) -> S3Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    tracing::error!(%error, "the development bucket failed");
    S3Error::internal_error(error)
}

impl Subscriber for OnlyOurs {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if ours(metadata) {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        ours(metadata) && self.0.enabled(metadata)
    }

    // Without a hint, every library in the process would prepare its finest lines.
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

fn ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
}
