//! `[auth]` and `[[auth.issuers]]`: the issuers of callers' tokens.

use crate::domain::principal::Scope;

use super::issuer_keys::{self, IssuerKeys};
use super::reader::error::one_of;
use super::reader::section::{Report, Section};
use super::reader::sources::Env;
use super::reader::value::Show;

/// `[auth]`.
#[derive(Debug, Clone)]
pub struct Auth {
    /// How far the clocks of issuers and the broker may differ, in seconds.
    pub leeway_secs: u64,
    /// The longest accepted lifetime of a token, in seconds.
    pub max_token_lifetime_secs: u64,
    /// The issuers. `serve` needs at least one.
    pub issuers: Vec<Issuer>,
}

/// `[[auth.issuers]]`: an issuer of tokens.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// A short name for logs and principals.
    pub name: String,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The `aud` of its tokens, or one of them.
    pub audience: String,
    /// The owner is this prefix and `sub`. No prefix begins with another's, so two issuers can't name the same owner.
    pub owner_prefix: String,
    /// The ceiling: its tokens have no other scopes.
    pub scopes: Vec<Scope>,
    /// The keys that verify its tokens.
    pub keys: IssuerKeys,
}

impl Auth {
    pub(super) fn read(section: &mut Section, env: Env) -> Option<Auth> {
        let leeway_secs = section.integer("leeway_secs", 0..=30);
        let max_token_lifetime_secs = section.integer("max_token_lifetime_secs", 60..=86_400);
        let problem = "must be written as [[auth.issuers]], once for each issuer";
        let issuers = section
            .tables("issuers", 0..=usize::MAX, problem, |section| {
                Issuer::read(section, env)
            })
            .filter(|issuers| refuse_pairs(issuers, section.report()));
        Some(Auth {
            leeway_secs: leeway_secs?,
            max_token_lifetime_secs: max_token_lifetime_secs?,
            issuers: issuers?,
        })
    }
}

impl Issuer {
    fn read(section: &mut Section, env: Env) -> Option<Issuer> {
        let name = section.text("name", Show::Plain, short);
        let issuer = section.text("issuer", Show::Plain, short);
        let audience = section.text("audience", Show::Plain, short);
        let owner_prefix = section.text("owner_prefix", Show::Plain, owner_prefix);
        let scopes = section.list("scopes", scope);
        if scopes.as_ref().is_some_and(Vec::is_empty) {
            section.refuse(
                "scopes",
                format!("must list at least one of {}", scope_names()),
            );
        }
        let keys = issuer_keys::read(section, env);
        Some(Issuer {
            name: name?,
            issuer: issuer?,
            audience: audience?,
            owner_prefix: owner_prefix?,
            scopes: scopes?,
            keys: keys?,
        })
    }
}

/// Checks that issuers differ in name, in `iss` and in the owners that they can name.
fn refuse_pairs(issuers: &[Issuer], report: &mut Report) -> bool {
    let before = report.errors.len();
    for (index, later) in issuers.iter().enumerate() {
        for (other, earlier) in issuers[..index].iter().enumerate() {
            let mut refuse = |key: &str, problem: String| {
                report.refuse(&format!("auth.issuers[{index}].{key}"), problem);
            };
            if later.name == earlier.name {
                refuse(
                    "name",
                    format!("must differ from the name of auth.issuers[{other}]"),
                );
            }
            if later.issuer == earlier.issuer {
                let name = &earlier.name;
                refuse(
                    "issuer",
                    format!(
                        "must differ from the issuer of \"{name}\", so that a token belongs to one of them"
                    ),
                );
            }
            // With "user:" and "user:a", the subject "a1" of the first would be the subject "1" of the second.
            let (mine, theirs) = (&later.owner_prefix, &earlier.owner_prefix);
            if mine.starts_with(theirs.as_str()) || theirs.starts_with(mine.as_str()) {
                let name = &earlier.name;
                let problem = format!(
                    "must not begin with \"{theirs}\" of \"{name}\", nor that with it, because both could name the same owner"
                );
                refuse("owner_prefix", problem);
            }
        }
    }
    report.errors.len() == before
}

pub(super) fn short(text: &str) -> Result<String, String> {
    let fits = (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
        .ok_or_else(|| "must be a string of 1 to 255 bytes on one line".to_owned())
}

fn owner_prefix(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.:/@".contains(c);
    let fits = text.len() <= 64 && text.chars().all(allowed);
    fits.then(|| text.to_owned()).ok_or_else(|| {
        "must be at most 64 letters, digits and _ - . : / @, such as \"user:\"".to_owned()
    })
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| format!("must list only {}", scope_names()))
}

fn scope_names() -> String {
    one_of(Scope::ALL.iter().map(|scope| scope.as_str()))
}
