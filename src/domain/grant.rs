//! A grant: lets a page or an app without a token upload for a limited time.

use chrono::{DateTime, Utc};

use super::attachment::ObjectId;
use super::field::FieldName;
use super::ids::GrantId;

/// The right to create a limited number of uploads for one field, on behalf of one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The id.
    pub id: GrantId,
    /// The field.
    pub field: FieldName,
    /// The owner of its uploads.
    pub owner: String,
    /// The record that its uploads are attached to at confirm; `None` leaves attaching to the backend.
    pub object_id: Option<ObjectId>,
    /// The number of uploads that it allows, at least 1.
    pub max_uploads: u32,
    /// The most bytes of each upload.
    pub max_size: u64,
    /// The number of uploads created, canceled ones included.
    pub used: u32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}
