//! Model fields that hold a file, and the policy of each.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::checksum::ChecksumAlgorithm;
use super::media_type::MediaType;

/// The name of a model field, `Product.image`: two identifiers and a dot, at most 100 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldName(String);

/// A text that is not a field name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a field is named Model.field: two identifiers (letters, digits, _) and a dot, at most 100 bytes"
)]
pub struct InvalidFieldName;

impl FieldName {
    /// Parses `Model.field`.
    pub fn parse(text: &str) -> Result<FieldName, InvalidFieldName> {
        let parts = text.split_once('.').ok_or(InvalidFieldName)?;
        let fits =
            text.len() <= 100 && Self::is_identifier(parts.0) && Self::is_identifier(parts.1);
        fits.then(|| FieldName(text.to_owned()))
            .ok_or(InvalidFieldName)
    }

    /// Whether the text is an identifier, as a model's and a field's own name must be.
    pub fn is_identifier(text: &str) -> bool {
        let mut chars = text.chars();
        chars
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    /// The whole name, `Product.image`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the dot, `Product`.
    pub fn model(&self) -> &str {
        self.0
            .split_once('.')
            .map_or(self.0.as_str(), |(model, _)| model)
    }
}

impl fmt::Debug for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a confirmed object can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// By anyone, at its public URL.
    Public,
    /// Only with a presigned GET.
    Private,
}

impl Visibility {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Visibility::Public => "public",
            Visibility::Private => "private",
        }
    }
}

/// How many uploads may be attached to one record's field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cardinality {
    /// One: a new upload replaces the previous one.
    One,
    /// Any number.
    Many,
}

impl Cardinality {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Cardinality::One => "one",
            Cardinality::Many => "many",
        }
    }
}

/// The policy of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPolicy {
    /// The field.
    pub name: FieldName,
    /// The prefix of its objects below the location, `products/`.
    pub upload_to: String,
    /// The content types it accepts; never empty.
    pub content_types: Vec<MediaType>,
    /// The smallest size, in bytes.
    pub min_size: u64,
    /// The largest size, in bytes.
    pub max_size: u64,
    /// How its objects can be read.
    pub visibility: Visibility,
    /// How many uploads may be attached to a record.
    pub cardinality: Cardinality,
    /// How long the object of a detached upload is kept, in seconds.
    pub removal_grace_secs: u32,
    /// How long a confirmed upload may stay unattached before it is deleted, in seconds; `None`: for ever.
    pub unattached_lifetime_secs: Option<u32>,
    /// The algorithms of which a checksum must be declared; empty if a checksum is optional.
    pub required_checksums: Vec<ChecksumAlgorithm>,
    /// The lifetime of a presigned request, in seconds.
    pub url_lifetime_secs: u32,
    /// How long an upload may stay pending, in seconds; at least 15 minutes more than the URL's lifetime.
    pub upload_lifetime_secs: u32,
}

/// Every configured field, by exact name.
#[derive(Debug, Clone, Default)]
pub struct FieldPolicies(BTreeMap<FieldName, Arc<FieldPolicy>>);

impl FieldPolicies {
    /// The policy of this field.
    pub fn get(&self, name: &FieldName) -> Option<&Arc<FieldPolicy>> {
        self.0.get(name)
    }

    /// All policies, in the order of their fields' names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<FieldPolicy>> {
        self.0.values()
    }
}

impl FromIterator<FieldPolicy> for FieldPolicies {
    fn from_iter<I: IntoIterator<Item = FieldPolicy>>(policies: I) -> Self {
        FieldPolicies(
            policies
                .into_iter()
                .map(|p| (p.name.clone(), Arc::new(p)))
                .collect(),
        )
    }
}
