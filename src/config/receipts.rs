//! `[receipts]`: what the broker signs receipts and grants with, and for whom.

use secrecy::SecretString;

use super::auth::Env;
use super::issuer_keys::named_file;
use super::section::{Explained, Report, Section};
use super::value::{Node, Show, Value};

/// The keys that the broker may have: the one that signs, the next one, and those that are retired.
const MAX_KEYS: usize = 10;

/// `[receipts]`.
#[derive(Debug, Clone)]
pub struct Receipts {
    /// `iss` of receipts and grants; `None` stands for the server's public URL.
    pub issuer: Option<String>,
    /// `aud` of receipts.
    pub audience: String,
    /// How long a receipt lives, in seconds.
    pub lifetime_secs: u32,
    /// The keys; the first private one signs, all are published. Empty until a configuration names one; `serve` demands it.
    pub keys: Vec<ReceiptKey>,
}

/// `keys` of `[receipts]`: a key of the broker's own.
#[derive(Debug, Clone)]
pub struct ReceiptKey {
    /// The key id that tokens carry.
    pub kid: String,
    /// The key in PEM; whoever uses it parses it.
    pub pem: SecretString,
}

impl Receipts {
    pub(super) fn read(section: &mut Section, env: Env) -> Option<Receipts> {
        let issuer = section.optional("issuer", Show::Plain, short);
        let audience = section.text("audience", Show::Plain, short);
        let lifetime_secs = section.integer("lifetime_secs", 60..=31_536_000);
        let keys = read_keys(section, env);
        Some(Receipts {
            issuer: issuer?,
            audience: audience?,
            lifetime_secs: lifetime_secs?,
            keys: keys?,
        })
    }
}

fn read_keys(section: &mut Section, env: Env) -> Option<Vec<ReceiptKey>> {
    let node = section.take("keys")?;
    let source = node.source.to_string();
    let nodes = match node.value {
        Value::List(nodes) if nodes.len() <= MAX_KEYS => nodes,
        _ => {
            let problem = format!(
                "keys must be a list of at most {MAX_KEYS} tables {{ kid, and one of file, pem and pem_env }}"
            );
            section.refuse_table(problem);
            return None;
        }
    };
    let count = nodes.len();
    if count == 0 {
        section.report().explained.push(Explained {
            key: "receipts.keys".to_owned(),
            value: "[]".to_owned(),
            source,
        });
    }
    let read = nodes.into_iter().enumerate().map(|(index, node)| {
        read_key(
            format!("receipts.keys[{index}]"),
            node,
            env,
            section.report(),
        )
    });
    let keys: Vec<ReceiptKey> = read.collect::<Vec<_>>().into_iter().flatten().collect();
    if keys.len() < count {
        return None;
    }
    let repeated =
        (1..count).find(|&index| keys[..index].iter().any(|it| it.kid == keys[index].kid));
    if let Some(index) = repeated {
        let problem = "must differ from the others', because verifiers choose by it";
        section
            .report()
            .refuse(&format!("receipts.keys[{index}].kid"), problem);
        return None;
    }
    Some(keys)
}

fn read_key(path: String, node: Node, env: Env, report: &mut Report) -> Option<ReceiptKey> {
    let mut section = Section::open(path, node, report)?;
    let kid = section.text("kid", Show::Plain, short);
    let ways = ["file", "pem", "pem_env"].map(|way| section.has(way));
    let pem = match ways {
        [true, false, false] => {
            section.parse("file", Show::Plain, |node| named_file(node).and_then(pem))
        }
        [false, true, false] => section.text("pem", Show::Masked, |text| pem(text.to_owned())),
        [false, false, true] => section.text("pem_env", Show::Variable, |name| {
            let value = env.get(name).cloned();
            value
                .ok_or_else(|| "must name an environment variable that is set".to_owned())
                .and_then(pem)
        }),
        _ => {
            section.refuse_table("must have exactly one of file, pem and pem_env");
            // Taken all the same, so that they are not reported as unknown as well.
            for way in ["file", "pem", "pem_env"] {
                section.take(way);
            }
            None
        }
    };
    section.finish();
    Some(ReceiptKey {
        kid: kid?,
        pem: pem?,
    })
}

/// Only that it looks like a key in PEM: what it holds is parsed by the room that signs with it.
fn pem(text: String) -> Result<SecretString, String> {
    let begins = text.trim_start().starts_with("-----BEGIN ");
    begins.then(|| SecretString::from(text)).ok_or_else(|| {
        "must be a key in PEM, as `openssl genpkey -algorithm ed25519 -out receipts.pem` writes it"
            .to_owned()
    })
}

fn short(text: &str) -> Result<String, String> {
    let fits = (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
        .ok_or_else(|| "must be a text of 1 to 255 bytes on one line".to_owned())
}
