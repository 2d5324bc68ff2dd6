//! `[receipts]`: the keys and claims of receipts and grants.

use secrecy::SecretString;

use super::auth::short;
use super::reader::layers::named_file;
use super::reader::section::Section;
use super::reader::sources::Env;
use super::reader::value::Show;

/// The most keys: the one that signs, the next one, and retired ones.
const MAX_KEYS: usize = 10;

/// `[receipts]`.
#[derive(Debug, Clone)]
pub struct Receipts {
    /// `iss` of receipts and grants; `None` stands for the server's public URL.
    pub issuer: Option<String>,
    /// `aud` of receipts.
    pub audience: String,
    /// The lifetime of a receipt, in seconds.
    pub lifetime_secs: u32,
    /// The keys. The first private one signs, all are published. `serve` needs at least one.
    pub keys: Vec<ReceiptKey>,
}

/// An entry of `receipts.keys`.
#[derive(Debug, Clone)]
pub struct ReceiptKey {
    /// The key id in tokens.
    pub kid: String,
    /// The key in PEM. `auth` parses it.
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
    let problem = format!(
        "must be a list of at most {MAX_KEYS} tables {{ kid, and one of file, pem and pem_env }}"
    );
    let keys = section.tables("keys", 0..=MAX_KEYS, &problem, |section| {
        read_key(section, env)
    })?;
    let repeated =
        (1..keys.len()).find(|&index| keys[..index].iter().any(|it| it.kid == keys[index].kid));
    if let Some(index) = repeated {
        let problem =
            "must differ from the ids of the other keys, because verifiers choose a key by it";
        section
            .report()
            .refuse(&format!("receipts.keys[{index}].kid"), problem);
        return None;
    }
    Some(keys)
}

fn read_key(section: &mut Section, env: Env) -> Option<ReceiptKey> {
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
            // Taken, so that they are not reported as unknown too.
            for way in ["file", "pem", "pem_env"] {
                section.take(way);
            }
            None
        }
    };
    Some(ReceiptKey {
        kid: kid?,
        pem: pem?,
    })
}

/// Checks that it is PEM; `auth` parses it.
fn pem(text: String) -> Result<SecretString, String> {
    let begins = text.trim_start().starts_with("-----BEGIN ");
    begins.then(|| SecretString::from(text)).ok_or_else(|| {
        "must be a key in PEM, as `openssl genpkey -algorithm ed25519 -out receipts.pem` writes it"
            .to_owned()
    })
}
