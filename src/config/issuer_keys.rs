//! An issuer's keys: a shared secret, public keys, or the URL of a key set. Exactly one of them.

use secrecy::{ExposeSecret as _, SecretString};

use super::auth::{Env, IssuerKeys, KeyAlgorithm, PublicKey};
use super::layers::{read_file, resolve};
use super::section::{Report, Section};
use super::urls::{Http, Path, parse_url};
use super::value::{Node, Show, Value};

/// The shortest HS256 secret, in bytes: a shorter one can be guessed from one token.
const MIN_SECRET_BYTES: usize = 32;
/// The keys that an issuer may have.
const MAX_KEYS: usize = 50;

const WAYS: &str = "must have exactly one of secret, secret_env, secret_file, public_key, public_key_file, keys and jwks_url";

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
        // Read all the same, so that they are not reported as unknown as well.
        ways.into_iter().for_each(|way| drop(section.take(way)));
        section.take("kid");
        section.take("algorithm");
        return None;
    }
    if secret {
        let kid = kid(section);
        // It goes without saying, but many will say it.
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

/// The key id, `None` where it is not given.
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
            // Editors and `echo` end a file with a line break that is no part of the secret.
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
            "must hold at least {MIN_SECRET_BYTES} bytes, not {len}, or it can be guessed from one token; \
             try `openssl rand -base64 48`"
        )),
    }
}

fn several(section: &mut Section) -> Option<Vec<PublicKey>> {
    let path = section.key("keys");
    let node = section.take("keys")?;
    let nodes = match node.value {
        Value::List(nodes) if (1..=MAX_KEYS).contains(&nodes.len()) => nodes,
        _ => {
            section.refuse_table(format!(
                "keys must be a list of 1 to {MAX_KEYS} tables {{ kid, algorithm, public_key or public_key_file }}"
            ));
            return None;
        }
    };
    let count = nodes.len();
    let read = nodes
        .into_iter()
        .enumerate()
        .map(|(index, node)| one_of_several(format!("{path}[{index}]"), node, section.report()));
    let keys: Vec<PublicKey> = read.collect::<Vec<_>>().into_iter().flatten().collect();
    if keys.len() < count {
        return None;
    }
    let mut distinct = true;
    for (index, key) in keys.iter().enumerate() {
        let taken = keys[..index].iter().any(|earlier| earlier.kid == key.kid);
        if taken || (count > 1 && key.kid.is_none()) {
            let problem = "must be set and differ from the others', because tokens choose by it";
            section
                .report()
                .refuse(&format!("{path}[{index}].kid"), problem);
            distinct = false;
        }
    }
    distinct.then_some(keys)
}

fn one_of_several(path: String, node: Node, report: &mut Report) -> Option<PublicKey> {
    let mut section = Section::open(path, node, report)?;
    let key = public_key(&mut section);
    section.finish();
    key
}

fn public_key(section: &mut Section) -> Option<PublicKey> {
    let kid = kid(section);
    let algorithm = section.choice("algorithm", &KeyAlgorithm::NAMES);
    let pem = match (section.has("public_key"), section.has("public_key_file")) {
        // Masked, because a private key may have been pasted by mistake.
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

/// Reads the file that a key names; the error says which file was tried.
pub(super) fn named_file(node: &Node) -> Result<String, String> {
    let path = node.value.as_text().ok_or("must be a path in quotes")?;
    let path = resolve(path, &node.source);
    // Whoever wrote a relative path may have counted it from another folder.
    let tried = std::path::absolute(&path).unwrap_or(path);
    read_file(&tried).map_err(|problem| format!("{} {problem}", tried.display()))
}

/// Only that it is a public key in PEM: what it holds is parsed by the room that checks signatures with it.
fn pem(text: &str) -> Result<String, String> {
    let is_public = text.trim_start().starts_with("-----BEGIN ")
        && text.contains(" PUBLIC KEY-----")
        && !text.contains("PRIVATE");
    is_public.then(|| text.to_owned()).ok_or_else(|| {
        "must be a public key in PEM, which begins with -----BEGIN PUBLIC KEY-----".to_owned()
    })
}
