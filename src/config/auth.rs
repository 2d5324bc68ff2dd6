//! `[auth]` and `[[auth.issuers]]`: whose tokens are believed, and how far.

use secrecy::SecretString;
use url::Url;

use crate::domain::principal::Scope;

use super::error::one_of;
use super::issuer_keys;
use super::section::{Explained, Report, Section};
use super::value::{Node, Show, Value};

/// `[auth]`.
#[derive(Debug, Clone)]
pub struct Auth {
    /// How far clocks may disagree, in seconds.
    pub leeway_secs: u64,
    /// The longest life of a token that is accepted, in seconds.
    pub max_token_lifetime_secs: u64,
    /// Who may vouch for callers. Empty until a configuration names one; `serve` demands it.
    pub issuers: Vec<Issuer>,
}

/// `[[auth.issuers]]`: somebody who signs tokens.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// A short name for logs and principals.
    pub name: String,
    /// What a token's `iss` must be.
    pub issuer: String,
    /// What a token's `aud` must hold.
    pub audience: String,
    /// Put before `sub` to name the owner. No issuer's prefix begins another's, so no two name the same owner.
    pub owner_prefix: String,
    /// The most that its tokens may grant.
    pub scopes: Vec<Scope>,
    /// The keys that it signs with.
    pub keys: IssuerKeys,
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone)]
pub enum IssuerKeys {
    /// A secret of at least 32 bytes that is shared with it: HS256.
    Secret {
        /// The key id that its tokens carry; `None` if they carry none.
        kid: Option<String>,
        /// The secret.
        secret: SecretString,
    },
    /// Its public keys; never empty, and each has a key id if there are several.
    Public(Vec<PublicKey>),
    /// A key set at a URL: https, or http on a loopback address.
    Jwks(Url),
}

/// A public key, and the one algorithm that it is for.
#[derive(Debug, Clone)]
pub struct PublicKey {
    /// The key id that tokens carry; `None` if they carry none.
    pub kid: Option<String>,
    /// The only algorithm that is accepted with this key.
    pub algorithm: KeyAlgorithm,
    /// The key in PEM; whoever uses it parses it.
    pub pem: String,
}

/// A signature algorithm with public keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl KeyAlgorithm {
    /// The names that a configuration may use, which are those of a token's `alg`.
    pub const NAMES: [(&'static str, KeyAlgorithm); 3] = [
        ("RS256", KeyAlgorithm::Rs256),
        ("ES256", KeyAlgorithm::Es256),
        ("EdDSA", KeyAlgorithm::EdDsa),
    ];
}

/// How secrets are looked up: by the name of an environment variable.
pub(super) type Env<'e> = &'e std::collections::BTreeMap<String, String>;

impl Auth {
    pub(super) fn read(section: &mut Section, env: Env) -> Option<Auth> {
        let leeway_secs = section.integer("leeway_secs", 0..=30);
        let max_token_lifetime_secs = section.integer("max_token_lifetime_secs", 60..=86_400);
        let issuers = Self::read_issuers(section, env);
        Some(Auth {
            leeway_secs: leeway_secs?,
            max_token_lifetime_secs: max_token_lifetime_secs?,
            issuers: issuers?,
        })
    }

    fn read_issuers(section: &mut Section, env: Env) -> Option<Vec<Issuer>> {
        let Some(node) = section.take("issuers") else {
            return Some(Vec::new());
        };
        let Value::List(nodes) = node.value else {
            let problem = "must be written as [[auth.issuers]], once for each issuer";
            let error = super::ConfigError::about("auth.issuers", &node.source, problem);
            section.report().errors.push(error);
            return None;
        };
        let count = nodes.len();
        if count == 0 {
            section.report().explained.push(Explained {
                key: "auth.issuers".to_owned(),
                value: "[]".to_owned(),
                source: node.source.to_string(),
            });
        }
        let read = nodes.into_iter().enumerate().map(|(index, node)| {
            let path = format!("auth.issuers[{index}]");
            Issuer::read(path, node, env, section.report())
        });
        let issuers: Vec<Issuer> = read.collect::<Vec<_>>().into_iter().flatten().collect();
        if issuers.len() < count {
            return None;
        }
        refuse_pairs(&issuers, section.report()).then_some(issuers)
    }
}

impl Issuer {
    fn read(path: String, node: Node, env: Env, report: &mut Report) -> Option<Issuer> {
        let mut section = Section::open(path, node, report)?;
        let name = section.text("name", Show::Plain, short);
        let issuer = section.text("issuer", Show::Plain, short);
        let audience = section.text("audience", Show::Plain, short);
        let owner_prefix = section.text("owner_prefix", Show::Plain, owner_prefix);
        let scopes = section.list("scopes", scope);
        if scopes.as_ref().is_some_and(Vec::is_empty) {
            section.refuse(
                "scopes",
                format!("must hold at least one of {}", scope_names()),
            );
        }
        let keys = issuer_keys::read(&mut section, env);
        section.finish();
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

/// Each pair of issuers must be told apart: by a token's `iss`, and by the owners that they name.
fn refuse_pairs(issuers: &[Issuer], report: &mut Report) -> bool {
    let before = report.errors.len();
    for (index, later) in issuers.iter().enumerate() {
        for (other, earlier) in issuers[..index].iter().enumerate() {
            let mut refuse = |key: &str, problem: String| {
                report.refuse(&format!("auth.issuers[{index}].{key}"), problem);
            };
            if later.name == earlier.name {
                refuse("name", format!("is the name of auth.issuers[{other}] too"));
            }
            if later.issuer == earlier.issuer {
                let name = &earlier.name;
                refuse(
                    "issuer",
                    format!("is the issuer of \"{name}\" too; a token must belong to one"),
                );
            }
            // With "user:" and "user:a", the subject "a1" of the first would be the subject "1" of the second.
            let (mine, theirs) = (&later.owner_prefix, &earlier.owner_prefix);
            if mine.starts_with(theirs.as_str()) || theirs.starts_with(mine.as_str()) {
                let name = &earlier.name;
                let problem = format!(
                    "and \"{theirs}\" of \"{name}\" could name the same owner; neither may begin with the other"
                );
                refuse("owner_prefix", problem);
            }
        }
    }
    report.errors.len() == before
}

fn short(text: &str) -> Result<String, String> {
    let fits = (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
        .ok_or_else(|| "must be a text of 1 to 255 bytes on one line".to_owned())
}

fn owner_prefix(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.:/@".contains(c);
    let fits = text.len() <= 64 && text.chars().all(allowed);
    fits.then(|| text.to_owned()).ok_or_else(|| {
        "must be at most 64 of letters, digits, and _ - . : / @, such as \"user:\"".to_owned()
    })
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| format!("must list some of {}", scope_names()))
}

fn scope_names() -> String {
    one_of(Scope::ALL.iter().map(|scope| scope.as_str()))
}
