//! The record that an upload is attached to: a model and the id of one of its objects, as the backend names them.

use std::fmt;

/// The most bytes of an object id: what a Django `GenericForeignKey` column commonly holds.
const MAX_BYTES: usize = 255;

/// The id of a record, `42` of `Product/42`: any text of 1 to 255 bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(String);

/// A text that is not an object id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an object_id has 1 to {MAX_BYTES} bytes and no control characters")]
pub struct InvalidObjectId;

impl ObjectId {
    /// Keeps the text unchanged, so that the backend finds its own id again.
    pub fn parse(text: &str) -> Result<ObjectId, InvalidObjectId> {
        let fits = (1..=MAX_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        fits.then(|| ObjectId(text.to_owned()))
            .ok_or(InvalidObjectId)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
