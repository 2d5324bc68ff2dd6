//! A grant: what a page or an app without a token of its own may upload, for a while.

use chrono::{DateTime, Utc};

use super::attachment::ObjectId;
use super::field::FieldName;
use super::ids::GrantId;

/// The right to make a few uploads for one field, on behalf of one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// The one field that it is for.
    pub field: FieldName,
    /// Whose its uploads are.
    pub owner: String,
    /// The one record that its uploads are attached to at confirm; `None` leaves that to a backend.
    pub object_id: Option<ObjectId>,
    /// How many uploads it allows, at least 1.
    pub max_uploads: u32,
    /// The most bytes of each of them.
    pub max_size: u64,
    /// How many were made; a canceled one gives nothing back.
    pub used: u32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}
