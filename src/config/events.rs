//! `[events]`: whose word the broker takes that an object arrived.

use secrecy::SecretString;
use url::Url;

use super::section::Section;
use super::urls::{Http, Path, parse_url};
use super::value::Show;

/// `[events]`.
#[derive(Debug, Clone)]
pub struct Events {
    /// The SNS topics whose signed messages are taken. Empty: none.
    pub sns_topics: Vec<SnsTopic>,
    /// Where certificates and subscriptions must lie in place of the topics' own regions; `None`: AWS.
    pub sns_endpoint: Option<Url>,
    /// Whether messages signed with SHA-1 (`SignatureVersion` 1) are taken.
    pub sns_allow_sha1: bool,
    /// What every other sender brings; `None`: there is no other.
    pub secret: Option<SecretString>,
    /// A second one that is taken too, while senders change over.
    pub previous_secret: Option<SecretString>,
    /// How many events may wait for their confirm.
    pub queue_len: usize,
}

/// A topic, by its ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnsTopic {
    /// The whole ARN.
    pub arn: String,
    /// The one host that SNS serves this topic's region from, `sns.eu-central-1.amazonaws.com`.
    pub host: String,
}

impl Events {
    pub(super) fn read(section: &mut Section) -> Option<Events> {
        let sns_topics = section.list("sns_topics", topic);
        let sns_allow_sha1 = section.boolean("sns_allow_sha1");
        let sns_endpoint = section.optional("sns_endpoint", Show::Url, |text| {
            parse_url(text, Http::OnLoopback, Path::None)
        });
        let secret = section.optional("secret", Show::Masked, secret);
        let previous_secret = section.optional("previous_secret", Show::Masked, self::secret);
        if let (Some(None), Some(Some(_))) = (&secret, &previous_secret) {
            section.refuse("previous_secret", "needs events.secret beside it");
        }
        let queue_len = section.integer("queue_len", 1..=65_536);
        Some(Events {
            sns_topics: sns_topics?,
            sns_endpoint: sns_endpoint?,
            sns_allow_sha1: sns_allow_sha1?,
            secret: secret?,
            previous_secret: previous_secret?,
            queue_len: queue_len?,
        })
    }
}

/// `arn:<partition>:sns:<region>:<account>:<name>`. The region decides who may vouch for the topic's messages.
fn topic(text: &str) -> Result<SnsTopic, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let host = match parts.as_slice() {
        ["arn", partition, "sns", region, account, name]
            if is_label(region) && is_account(account) && is_name(name) =>
        {
            match *partition {
                "aws" | "aws-us-gov" => Some(format!("sns.{region}.amazonaws.com")),
                "aws-cn" => Some(format!("sns.{region}.amazonaws.com.cn")),
                _ => None,
            }
        }
        _ => None,
    };
    host.map(|host| SnsTopic {
        arn: text.to_owned(),
        host,
    })
    .ok_or_else(|| {
        "must list topics by their ARN, \"arn:aws:sns:eu-central-1:123456789012:uploads\""
            .to_owned()
    })
}

fn is_label(region: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (2..=32).contains(&region.len()) && region.chars().all(allowed)
}

fn is_account(account: &str) -> bool {
    account.len() == 12 && account.chars().all(|c| c.is_ascii_digit())
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    (1..=256).contains(&name.len()) && name.chars().all(allowed)
}

/// Long enough not to be guessed, and nothing that a header or a URL's password would have to change.
fn secret(text: &str) -> Result<SecretString, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let fits = (32..=256).contains(&text.len()) && text.chars().all(allowed);
    fits.then(|| text.into()).ok_or_else(|| {
        "must be 32 to 256 letters, digits, and - . _ ~ (openssl rand -hex 32 makes one)".to_owned()
    })
}
