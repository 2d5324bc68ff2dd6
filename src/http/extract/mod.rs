//! Extractors: a handler is called only with an authenticated caller and a parsed, bounded request.

pub mod body;
pub mod bucket_notification;
pub mod caller;
pub mod idempotency;
pub mod json;
pub mod path;
pub mod query;

#[cfg(test)]
mod tests;

pub use body::NoBody;
pub use caller::Caller;
pub use idempotency::IdempotencyHeader;
pub use json::Json;
pub use path::{RecordPath, UploadPath};
pub use query::Query;
