//! Object keys: a staging key that a client may write, and final keys that only the broker writes.

use super::ids::{UploadId, random_text};
use super::media_type::MediaType;

/// The most bytes of a final key.
pub const MAX_KEY_BYTES: usize = 120;
/// The most bytes of a name, Django's `ImageField.max_length`.
pub const MAX_NAME_BYTES: usize = 100;
/// The bytes of a final key's random part, its dot and the longest extension.
pub const RANDOM_PART_BYTES: usize = 32 + 1 + 4;
/// The most bytes of a prefix: the rest of a name.
pub const MAX_PREFIX_BYTES: usize = MAX_NAME_BYTES - RANDOM_PART_BYTES;

/// The two prefixes of the bucket that Bytepass manages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The prefix of final keys, `media/`, which django-storages calls `location`. May be empty.
    pub location: String,
    /// The prefix of staging keys, `staging/`. Neither prefix may contain the other.
    pub staging_prefix: String,
}

impl Layout {
    /// The only key that requests are presigned for.
    pub fn staging_key(&self, id: UploadId) -> StagingKey {
        StagingKey(format!("{}{id}", self.staging_prefix))
    }

    /// The upload whose staging key this is; `None` for every other key of the bucket.
    pub fn upload_of(&self, key: &str) -> Option<UploadId> {
        let id = key.strip_prefix(self.staging_prefix.as_str())?;
        UploadId::parse(id).ok()
    }

    /// A new final key with 160 random bits.
    pub fn final_key(&self, upload_to: &str, media_type: MediaType, random: &[u8; 20]) -> FinalKey {
        let extension = media_type.extension();
        let name = format!("{upload_to}{}.{extension}", random_text(random));
        FinalKey {
            key: format!("{}{name}", self.location),
            name,
        }
    }
}

/// A key under the staging prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagingKey(String);

impl StagingKey {
    /// The key in the bucket.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key under the location, with its name (the key without the location).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FinalKey {
    key: String,
    name: String,
}

impl FinalKey {
    /// A key that was read from the database or the bucket.
    pub fn recorded(key: String, name: String) -> FinalKey {
        FinalKey { key, name }
    }

    /// Whether this has the form of the last part of a key made by [`Layout::final_key`]: 32 characters of its alphabet, a dot and an
    /// extension.
    pub fn is_random_part(text: &str) -> bool {
        let Some((random, extension)) = text.split_once('.') else {
            return false;
        };
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        random.len() == 32
            && random.bytes().all(|b| plain(b) && !b"ilou".contains(&b))
            && (1..=4).contains(&extension.len())
            && extension.bytes().all(plain)
    }

    /// The key in the bucket.
    pub fn as_str(&self) -> &str {
        &self.key
    }

    /// The name, as a Django `ImageField` column holds it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Why a prefix is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrefix {
    /// The slash at the end is missing.
    #[error("must end with '/'")]
    NoSlashAtEnd,
    /// A character that some stores or database columns change.
    #[error("must contain only a-z, 0-9, '_', '-', '.' and '/'")]
    Character,
    /// A segment that is empty or begins with a dot.
    #[error("must not contain an empty part, a leading '/' or a part that begins with '.'")]
    Segment,
    /// Too long for the keys under it.
    #[error("must have at most {MAX_PREFIX_BYTES} bytes")]
    TooLong,
}

/// Checks a prefix such as `media/` or `products/`.
pub fn check_prefix(prefix: &str) -> Result<(), InvalidPrefix> {
    let Some(inner) = prefix.strip_suffix('/') else {
        return Err(InvalidPrefix::NoSlashAtEnd);
    };
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-./".contains(c);
    if !prefix.chars().all(allowed) {
        return Err(InvalidPrefix::Character);
    }
    if inner
        .split('/')
        .any(|part| part.is_empty() || part.starts_with('.'))
    {
        return Err(InvalidPrefix::Segment);
    }
    if prefix.len() > MAX_PREFIX_BYTES {
        return Err(InvalidPrefix::TooLong);
    }
    Ok(())
}
