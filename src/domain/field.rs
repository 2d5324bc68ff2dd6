//! Model fields that take a file, and what each of them accepts.

use std::fmt;

/// The name of a model field, `Product.image`: two identifiers and a dot, at most 100 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldName(String);

/// Why a text is no field name.
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

    /// Whether the text can be a model's or a field's own name.
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
