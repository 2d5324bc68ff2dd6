//! `[events]`: the accepted senders of bucket events.

use secrecy::SecretString;

use super::reader::section::Section;
use super::reader::urls::{Http, Path, parse_url};
use super::reader::value::Show;

/// `[events]`.
#[derive(Debug, Clone)]
pub struct Events {
    /// The SNS topics whose signed messages are accepted.
    pub sns_topics: Vec<SnsTopic>,
    /// Whether messages signed with SHA-1 (`SignatureVersion` 1) are accepted.
    pub sns_allow_sha1: bool,
    /// The secret of other senders; `None` accepts none.
    pub secret: Option<SecretString>,
    /// The former secret, accepted while senders change to the new one.
    pub previous_secret: Option<SecretString>,
    /// The most events that wait for their confirm.
    pub queue_len: usize,
}

/// An SNS topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnsTopic {
    /// Its ARN.
    pub arn: String,
    /// The origin that SNS serves its region from, `https://sns.eu-central-1.amazonaws.com`: its certificates and subscriptions are
    /// fetched from there only.
    pub origin: String,
}

impl Events {
    pub(super) fn read(section: &mut Section) -> Option<Events> {
        let mut sns_topics = section.list("sns_topics", topic);
        let sns_allow_sha1 = section.boolean("sns_allow_sha1");
        let sns_endpoint = section.optional("sns_endpoint", Show::Url, |text| {
            parse_url(text, Http::OnLoopback, Path::None)
        });
        if let (Some(topics), Some(Some(endpoint))) = (&mut sns_topics, &sns_endpoint) {
            let origin = endpoint.origin().ascii_serialization();
            topics
                .iter_mut()
                .for_each(|topic| topic.origin.clone_from(&origin));
        }
        let secret = section.optional("secret", Show::Masked, secret);
        let previous_secret = section.optional("previous_secret", Show::Masked, self::secret);
        if let (Some(None), Some(Some(_))) = (&secret, &previous_secret) {
            section.refuse("previous_secret", "must not be set without events.secret");
        }
        let queue_len = section.integer("queue_len", 1..=65_536);
        Some(Events {
            sns_topics: sns_topics?,
            sns_allow_sha1: sns_allow_sha1?,
            secret: secret?,
            previous_secret: previous_secret?,
            queue_len: queue_len?,
        })
    }
}

/// Parses `arn:<partition>:sns:<region>:<account>:<name>`. The region determines the origin.
fn topic(text: &str) -> Result<SnsTopic, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let origin = match parts.as_slice() {
        ["arn", partition, "sns", region, account, name]
            if is_label(region) && is_account(account) && is_name(name) =>
        {
            match *partition {
                "aws" | "aws-us-gov" => Some(format!("https://sns.{region}.amazonaws.com")),
                "aws-cn" => Some(format!("https://sns.{region}.amazonaws.com.cn")),
                _ => None,
            }
        }
        _ => None,
    };
    origin
        .map(|origin| SnsTopic {
            arn: text.to_owned(),
            origin,
        })
        .ok_or_else(|| {
            "must list ARNs of topics, such as \"arn:aws:sns:eu-central-1:123456789012:uploads\""
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

/// Long enough not to be guessed, and without characters that are escaped in a header or in a URL's password.
fn secret(text: &str) -> Result<SecretString, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let fits = (32..=256).contains(&text.len()) && text.chars().all(allowed);
    fits.then(|| text.into()).ok_or_else(|| {
        "must be 32 to 256 letters, digits and - . _ ~; try `openssl rand -hex 32`".to_owned()
    })
}
