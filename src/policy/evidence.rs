//! Evidence in types: `Declared → Admitted → Issued` on the way in, `Observed → Verified` on the way to a confirm.

use std::sync::Arc;

use crate::domain::attachment::ObjectId;
use crate::domain::checksum::Checksum;
use crate::domain::field::{FieldName, FieldPolicy};
use crate::domain::file_name::FileName;
use crate::domain::ids::UploadId;
use crate::domain::media_type::{MediaType, Rendering};
use crate::domain::object_key::FinalKey;

/// A request to create an upload, still unchecked.
#[derive(Debug, Clone)]
pub struct Declared {
    /// The model field.
    pub field: FieldName,
    /// The client's name for the file.
    pub filename: String,
    /// The content type.
    pub content_type: String,
    /// The size, in bytes.
    pub size: u64,
    /// The algorithm's name and the base64 value.
    pub checksum: Option<(String, String)>,
    /// The record that it is meant for.
    pub object_id: Option<ObjectId>,
    /// The owner that a caller with `uploads:confirm` names.
    pub owner: Option<String>,
}

/// A declaration that its field's policy accepts. Only [`super::admission::admit`] builds one.
#[derive(Debug, Clone)]
pub struct Admitted {
    pub(super) policy: Arc<FieldPolicy>,
    pub(super) filename: FileName,
    pub(super) content_type: MediaType,
    pub(super) size: u64,
    pub(super) checksum: Option<Checksum>,
}

impl Admitted {
    /// The policy that it was admitted by.
    pub fn policy(&self) -> &FieldPolicy {
        &self.policy
    }

    /// The file's name.
    pub fn filename(&self) -> &FileName {
        &self.filename
    }

    /// The content type.
    pub fn content_type(&self) -> MediaType {
        self.content_type
    }

    /// The size, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The checksum.
    pub fn checksum(&self) -> Option<&Checksum> {
        self.checksum.as_ref()
    }
}

/// A pending upload whose row is committed. Only for it a PUT is presigned.
///
/// `db` defines the type and keeps its constructor private, because only `db` knows which rows are committed. `storage` may not import
/// `db`, and names it by this alias.
pub type Issued = <Rows as CommittedRows>::Issued;

/// Implemented once, for [`Rows`], by `db`: the compiler refuses a second implementation, so no other type can be [`Issued`].
pub trait CommittedRows {
    /// See [`Issued`].
    type Issued;
}

/// The only type that implements [`CommittedRows`]. It has no values.
pub enum Rows {}

/// The headers that the seal sets on an object, whatever headers its PUT carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealHeaders {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Content-Disposition`.
    pub content_disposition: &'static str,
    /// `Cache-Control`.
    pub cache_control: &'static str,
}

impl SealHeaders {
    /// A key is written once, so its object may be cached for ever; only a type that can't run anything is shown inline.
    pub fn of(media_type: MediaType) -> SealHeaders {
        SealHeaders {
            content_type: media_type.as_str(),
            content_disposition: match media_type.rendering() {
                Rendering::Inline => "inline",
                Rendering::Attachment => "attachment",
            },
            cache_control: "private, max-age=31536000, immutable",
        }
    }

    /// The same for an object that anyone may read: shared caches may keep it too.
    pub fn public(self) -> SealHeaders {
        SealHeaders {
            cache_control: "public, max-age=31536000, immutable",
            ..self
        }
    }
}

/// A sealed copy as HeadObject described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The copy's key.
    pub key: FinalKey,
    /// `Content-Length`, in bytes.
    pub size: u64,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// The ETag without quotes and without `W/`.
    pub etag: String,
    /// Whether the ETag is the MD5 of the bytes: 32 hexadecimal digits, and no encryption that changes its meaning.
    pub etag_is_md5: bool,
    /// The checksums that the store returned.
    pub checksums: Vec<Checksum>,
    /// Headers of the copy that no client may set (`content-encoding`, `x-amz-meta-…`), with values.
    pub smuggled: Vec<(String, String)>,
}

/// A sealed copy that matches its upload's declaration: it names both, so it can't be recorded for another upload or key. Only
/// [`super::verification::verify`] builds one.
#[derive(Debug, Clone)]
pub struct Verified {
    pub(super) upload: UploadId,
    pub(super) key: FinalKey,
    pub(super) etag: String,
}

impl Verified {
    /// The upload that was declared.
    pub fn upload(&self) -> UploadId {
        self.upload
    }

    /// The sealed copy's key.
    pub fn key(&self) -> &FinalKey {
        &self.key
    }

    /// The sealed copy's ETag.
    pub fn etag(&self) -> &str {
        &self.etag
    }
}
