//! An issuer's keys: exactly one of a shared secret, public keys, and the URL of a key set.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::reader::layers::named_file;
use super::reader::section::Section;
use super::reader::sources::Env;
use super::reader::urls::{Http, Path, parse_url};
use super::reader::value::{Show, Value};

/// The shortest HS256 secret, in bytes: a shorter one can be guessed from one token.
const MIN_SECRET_BYTES: usize = 32;
/// The most keys of an issuer.
const MAX_KEYS: usize = 50;

const WAYS: &str = "must have exactly one of secret, secret_env, secret_file, public_key, public_key_file, keys and jwks_url";

/// An issuer's keys.
#[derive(Debug, Clone)]
pub enum IssuerKeys {
    /// A secret of at least 32 bytes, shared with the issuer: HS256.
    Secret {
        /// The key id in its tokens; `None` for tokens without one.
        kid: Option<String>,
        /// The secret.
        secret: SecretString,
    },
    /// Its public keys; at least one, and with different key ids if there are several.
    Public(Vec<PublicKey>),
    /// The URL of its key set: https, or http on a loopback address.
    Jwks(Url),
}

/// A public key.
#[derive(Clone)]
pub struct PublicKey {
    /// The key id in tokens; `None` for tokens without one.
    pub kid: Option<String>,
    /// The only algorithm that is accepted with this key.
    pub algorithm: KeyAlgorithm,
    /// The key in PEM. `auth` parses it.
    pub pem: String,
}

impl fmt::Debug for PublicKey {
    // Not the PEM, which may be a private key by mistake.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = self.algorithm;
        write!(f, "PublicKey {{ kid: {:?}, {algorithm:?} }}", self.kid)
    }
}

/// A signature algorithm of public keys.
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
    /// The names in a configuration, which are those of a token's `alg`.
    pub const NAMES: [(&'static str, KeyAlgorithm); 3] = [
        ("RS256", KeyAlgorithm::Rs256),
        ("ES256", KeyAlgorithm::Es256),
        ("EdDSA", KeyAlgorithm::EdDsa),
    ];
}

pub(super) fn read(section: &mut Section, env: Env) -> Option<IssuerKeys> {
    let secret = section.has("secret") || section.has("secret_env") || section.has("secret_file");
    let ways = [
        "secret",
        "secret_env",
        "secret_file",
        "public_key",
        "public_key_file",
        "keys",
        "jwks_url",
    ];
    if ways.into_iter().filter(|way| section.has(way)).count() != 1 {
        section.refuse_table(WAYS);
        // Taken, so that they are not reported as unknown too.
        ways.into_iter().for_each(|way| drop(section.take(way)));
        section.take("kid");
        section.take("algorithm");
        return None;
    }
    if secret {
        let kid = kid(section);
        // Redundant, but allowed.
        section.fallback("algorithm", Value::Text("HS256".to_owned()));
        let algorithm = section.choice("algorithm", &[("HS256", ())]);
        let secret = shared_secret(section, env);
        let ((), kid, secret) = (algorithm?, kid?, secret?);
        Some(IssuerKeys::Secret { kid, secret })
    } else if section.has("jwks_url") {
        section
            .text("jwks_url", Show::Url, |text| {
                parse_url(text, Http::OnLoopback, Path::Allowed)
            })
            .map(IssuerKeys::Jwks)
    } else if section.has("keys") {
        several(section).map(IssuerKeys::Public)
    } else {
        public_key(section).map(|key| IssuerKeys::Public(vec![key]))
    }
}

/// The key id, if set.
fn kid(section: &mut Section) -> Option<Option<String>> {
    section.fallback("kid", Value::Text(String::new()));
    section.optional("kid", Show::Plain, |text| {
        let fits = text.len() <= 255 && !text.chars().any(char::is_control);
        fits.then(|| text.to_owned())
            .ok_or_else(|| "must be at most 255 bytes on one line".to_owned())
    })
}

fn shared_secret(section: &mut Section, env: Env) -> Option<SecretString> {
    if section.has("secret_env") {
        section.text("secret_env", Show::Variable, |name| {
            let value = env.get(name);
            long_enough(
                value.ok_or_else(|| "must name an environment variable that is set".to_owned())?,
            )
        })
    } else if section.has("secret_file") {
        section.parse("secret_file", Show::Plain, |node| {
            // Editors and `echo` add a line break at the end of a file; it is not part of the secret.
            long_enough(named_file(node)?.trim_end_matches(['\r', '\n']))
        })
    } else {
        section.text("secret", Show::Masked, long_enough)
    }
}

fn long_enough(text: &str) -> Result<SecretString, String> {
    let secret = SecretString::from(text);
    match secret.expose_secret().len() {
        MIN_SECRET_BYTES.. => Ok(secret),
        len => Err(format!(
            "must have at least {MIN_SECRET_BYTES} bytes, not {len}: a shorter one can be guessed from one token; \
             try `openssl rand -base64 48`"
        )),
    }
}

fn several(section: &mut Section) -> Option<Vec<PublicKey>> {
    let path = section.key("keys");
    let problem = format!(
        "must be a list of 1 to {MAX_KEYS} tables {{ kid, algorithm, public_key or public_key_file }}"
    );
    let keys = section.tables("keys", 1..=MAX_KEYS, &problem, public_key)?;
    let mut distinct = true;
    for (index, key) in keys.iter().enumerate() {
        let taken = keys[..index].iter().any(|earlier| earlier.kid == key.kid);
        if taken || (keys.len() > 1 && key.kid.is_none()) {
            let problem = "must be set and differ from the ids of the other keys, because tokens name a key by it";
            section
                .report()
                .refuse(&format!("{path}[{index}].kid"), problem);
            distinct = false;
        }
    }
    distinct.then_some(keys)
}

fn public_key(section: &mut Section) -> Option<PublicKey> {
    let kid = kid(section);
    let algorithm = section.choice("algorithm", &KeyAlgorithm::NAMES);
    let pem = match (section.has("public_key"), section.has("public_key_file")) {
        // Masked, because it may be a private key by mistake.
        (true, false) => section.text("public_key", Show::Masked, pem),
        (false, true) => section.parse("public_key_file", Show::Plain, |node| {
            pem(&named_file(node)?)
        }),
        _ => {
            section.refuse_table("must have exactly one of public_key and public_key_file");
            section.take("public_key");
            section.take("public_key_file");
            None
        }
    };
    Some(PublicKey {
        kid: kid?,
        algorithm: algorithm?,
        pem: pem?,
    })
}

/// Checks that it is a public key in PEM; `auth` parses it.
fn pem(text: &str) -> Result<String, String> {
    let is_public = text.trim_start().starts_with("-----BEGIN ")
        && text.contains(" PUBLIC KEY-----")
        && !text.contains("PRIVATE");
    is_public.then(|| text.to_owned()).ok_or_else(|| {
        "must be a public key in PEM, beginning with -----BEGIN PUBLIC KEY-----".to_owned()
    })
}
