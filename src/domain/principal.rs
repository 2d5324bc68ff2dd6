//! The authenticated caller and its scopes.

use super::field::FieldName;
use super::file_name::is_hidden;
use super::ids::GrantId;

/// A right that a token grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Create, confirm, presign again, cancel and read the caller's own uploads.
    UploadsWrite,
    /// Confirm and read every owner's uploads; create on behalf of an owner.
    UploadsConfirm,
    /// Attach, detach, read and delete.
    AttachmentsWrite,
    /// Mint grants.
    GrantsWrite,
    /// List every upload, read statistics, sweep, re-check, expire.
    Ops,
}

impl Scope {
    /// Every scope, in the order of the documentation.
    pub const ALL: [Scope; 5] = [
        Scope::UploadsWrite,
        Scope::UploadsConfirm,
        Scope::AttachmentsWrite,
        Scope::GrantsWrite,
        Scope::Ops,
    ];

    /// The scope's name in a token and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::UploadsWrite => "uploads:write",
            Scope::UploadsConfirm => "uploads:confirm",
            Scope::AttachmentsWrite => "attachments:write",
            Scope::GrantsWrite => "grants:write",
            Scope::Ops => "ops",
        }
    }

    /// The scope with this name.
    pub fn parse(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// One entry of a token's `fields` claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldPattern {
    /// Exactly this field, `Product.image`.
    Exact(FieldName),
    /// Every field of this model, written `Product.*`.
    Model(String),
}

impl FieldPattern {
    /// Parses `Product.image` or `Product.*`; `None` for anything else.
    pub fn parse(text: &str) -> Option<FieldPattern> {
        match text.strip_suffix(".*") {
            Some(model) if FieldName::is_identifier(model) => {
                Some(FieldPattern::Model(model.to_owned()))
            }
            Some(_) => None,
            None => FieldName::parse(text).ok().map(FieldPattern::Exact),
        }
    }

    /// Whether this entry covers the field.
    pub fn covers(&self, field: &FieldName) -> bool {
        match self {
            FieldPattern::Exact(name) => name == field,
            FieldPattern::Model(model) => field.model() == model,
        }
    }
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The configured name of the token's issuer.
    pub issuer: String,
    /// The token's `sub`.
    pub subject: String,
    /// The owner of the caller's uploads: the issuer's owner prefix and the subject.
    pub owner: String,
    /// The token's scopes, limited to those that its issuer may grant.
    pub scopes: Vec<Scope>,
    /// The fields that the token is narrowed to; `None` means all fields.
    pub fields: Option<Vec<FieldPattern>>,
    /// The grant that the caller presented instead of a token; it reaches only uploads created with it.
    pub grant: Option<GrantId>,
}

impl Principal {
    /// The caller's name in the log and in timelines, `ops:alice`, or the issuer alone if there is no subject. Without hidden
    /// characters.
    pub fn name(&self) -> String {
        let subject: String = self.subject.chars().filter(|&c| !is_hidden(c)).collect();
        match subject.as_str() {
            "" => self.issuer.clone(),
            subject => format!("{}:{subject}", self.issuer),
        }
    }

    /// Whether the token carries this scope.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether the token allows this field.
    pub fn reaches(&self, field: &FieldName) -> bool {
        self.fields
            .as_ref()
            .is_none_or(|patterns| patterns.iter().any(|pattern| pattern.covers(field)))
    }
}
