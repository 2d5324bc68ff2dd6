//! Messages of Amazon SNS: is it really SNS that speaks, about one of our topics?
//!
//! Guarantees: a message counts only if its topic is configured, its certificate lies on the one host that serves that topic's
//! region, under the name that SNS gives its certificates, and the signature covers what is read from it. A
//! subscription is confirmed on that host only, for that topic only.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use url::Url;

use super::authenticator::AuthError;
use super::certificates::Certificates;
use crate::auth::fetch_throttle::Sender;
use crate::outbound::{AddressRule, Limits, Outbound};

/// The path of each certificate of SNS: nothing else on its host is one.
const CERTIFICATE_PATH: (&str, &str) = ("/SimpleNotificationService-", ".pem");
/// The most bytes of what stands between the two.
const MAX_CERTIFICATE_ID: usize = 64;
/// What the confirmation of a subscription may take.
const SUBSCRIBE_LIMITS: Limits = Limits {
    max_bytes: 16 * 1024,
    deadline: Duration::from_secs(5),
};

/// What an operator configures about SNS.
#[derive(Debug, Clone, Default)]
pub struct SnsOptions {
    /// The topics whose messages are taken.
    pub topics: Vec<SnsTopic>,
    /// Whether `SignatureVersion` 1 (SHA-1) is taken.
    pub allow_sha1: bool,
}

/// One topic.
#[derive(Debug, Clone)]
pub struct SnsTopic {
    /// Its ARN.
    pub arn: String,
    /// The origin of its region's SNS, `https://sns.eu-central-1.amazonaws.com`, in a URL's canonical form.
    pub origin: String,
}

/// A hash function of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digest {
    Sha1,
    Sha256,
}

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum SnsKind {
    /// Something was published.
    Notification,
    /// Somebody subscribed us, and SNS asks whether that is right.
    SubscriptionConfirmation,
    /// Somebody ended our subscription.
    UnsubscribeConfirmation,
}

/// A message as SNS posts it; nothing in it is believed before [`Sns::verify`].
#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SnsMessage {
    #[serde(rename = "Type")]
    kind: SnsKind,
    message_id: String,
    topic_arn: String,
    message: String,
    timestamp: String,
    signature_version: String,
    signature: String,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: String,
    subject: Option<String>,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<String>,
    token: Option<String>,
}

impl SnsMessage {
    /// The message in a body; `None` where the body is something else.
    pub fn parse(body: &[u8]) -> Option<SnsMessage> {
        serde_json::from_slice(body).ok()
    }

    /// What it is for.
    pub fn kind(&self) -> SnsKind {
        self.kind
    }

    /// What was published.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic_arn
    }

    /// The text that is signed: each member's name and value on a line of its own, by the alphabet.
    fn signed_text(&self) -> String {
        let mut text = String::new();
        let mut add = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                text.extend([name, "\n", value, "\n"]);
            }
        };
        add("Message", Some(&self.message));
        add("MessageId", Some(&self.message_id));
        let kind = match self.kind {
            SnsKind::Notification => {
                add("Subject", self.subject.as_deref());
                "Notification"
            }
            SnsKind::SubscriptionConfirmation => "SubscriptionConfirmation",
            SnsKind::UnsubscribeConfirmation => "UnsubscribeConfirmation",
        };
        if self.kind != SnsKind::Notification {
            add("SubscribeURL", self.subscribe_url.as_deref());
        }
        add("Timestamp", Some(&self.timestamp));
        if self.kind != SnsKind::Notification {
            add("Token", self.token.as_deref());
        }
        add("TopicArn", Some(&self.topic_arn));
        add("Type", Some(kind));
        text
    }
}

impl fmt::Debug for SnsMessage {
    // Not its signature, nor the token in its SubscribeURL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnsMessage {{ {:?}, {:?} }}", self.kind, self.topic_arn)
    }
}

/// Judges messages.
pub(super) struct Sns {
    options: SnsOptions,
    outbound: Outbound,
    certificates: Arc<Certificates>,
}

impl Sns {
    pub(super) fn new(options: SnsOptions, outbound: Outbound) -> Sns {
        Sns {
            options,
            certificates: Arc::new(Certificates::new(outbound.clone())),
            outbound,
        }
    }

    /// Whether any topic is configured.
    pub(super) fn has_topics(&self) -> bool {
        !self.options.topics.is_empty()
    }

    /// Whether SNS itself signed the message, for one of our topics.
    pub(super) async fn verify(
        &self,
        message: &SnsMessage,
        sender: Sender,
        now: DateTime<Utc>,
    ) -> Result<(), AuthError> {
        let topic = self.topic_of(message)?;
        let digest = match message.signature_version.as_str() {
            "2" => Digest::Sha256,
            "1" if self.options.allow_sha1 => Digest::Sha1,
            "1" => {
                return Err(invalid(
                    "the message is signed with SHA-1: set the topic's SignatureVersion to 2, or events.sns_allow_sha1",
                ));
            }
            _ => return Err(invalid("the message's SignatureVersion is unknown")),
        };
        let url = certificate_url(&message.signing_cert_url, topic)?;
        let signature = STANDARD
            .decode(&message.signature)
            .map_err(|_| invalid("the message's signature is not base64"))?;
        let certificate = self.certificates.at(&url, sender).await?;
        if !certificate.is_valid(now) {
            return Err(invalid("the certificate of the message is not valid now"));
        }
        if !certificate.verifies(digest, message.signed_text().as_bytes(), &signature) {
            return Err(invalid("the message's signature is wrong"));
        }
        self.certificates.has_verified(&url);
        Ok(())
    }

    /// Confirms the subscription that a verified message asks about. Again is harmless: SNS answers the same.
    pub(super) async fn subscribe(&self, message: &SnsMessage) -> Result<(), AuthError> {
        let topic = self.topic_of(message)?;
        let url = subscribe_url(message, topic).ok_or(invalid(
            "the message's SubscribeURL is not SNS's, or for another topic",
        ))?;
        let rule = AddressRule::AnyButLinkLocal;
        let answer = self
            .outbound
            .get(url.as_str(), rule, SUBSCRIBE_LIMITS)
            .await;
        let failed = match answer {
            Ok(fetched) if fetched.status == 200 => {
                tracing::info!(topic = %topic.arn, "the subscription to the topic is confirmed");
                return Ok(());
            }
            Ok(fetched) => format!("the status is {} and not 200", fetched.status),
            Err(error) => error.to_string(),
        };
        tracing::warn!(topic = %topic.arn, reason = %failed, "the subscription to the topic can't be confirmed");
        Err(AuthError::KeysUnavailable)
    }

    fn topic_of(&self, message: &SnsMessage) -> Result<&SnsTopic, AuthError> {
        let mut topics = self.options.topics.iter();
        topics
            .find(|topic| topic.arn == message.topic_arn)
            .ok_or(invalid("the message's topic is none of events.sns_topics"))
    }
}

/// The URL of the message's certificate, if it is one that SNS has for this topic's region.
fn certificate_url(text: &str, topic: &SnsTopic) -> Result<Url, AuthError> {
    let (begins, ends) = CERTIFICATE_PATH;
    let is_ours = |url: &Url| {
        let id = url
            .path()
            .strip_prefix(begins)
            .and_then(|rest| rest.strip_suffix(ends));
        let named = id.is_some_and(|id| {
            (1..=MAX_CERTIFICATE_ID).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric())
        });
        // Compared as it was written too: nothing that a parser would mend or skip may stand in it.
        named && url.as_str() == text && text == format!("{}{}", topic.origin, url.path())
    };
    Url::parse(text)
        .ok()
        .filter(is_ours)
        .ok_or(invalid("the message's SigningCertURL is not SNS's"))
}

/// The URL that confirms the subscription, made from what the message's own says.
fn subscribe_url(message: &SnsMessage, topic: &SnsTopic) -> Option<Url> {
    let url = Url::parse(message.subscribe_url.as_deref()?).ok()?;
    let bare = url.username().is_empty() && url.password().is_none() && url.path() == "/";
    if !bare || url.origin().ascii_serialization() != topic.origin {
        return None;
    }
    let of = |name: &str| {
        let mut pairs = url.query_pairs().filter(|(key, _)| key == name);
        let value = pairs.next()?.1.into_owned();
        pairs.next().is_none().then_some(value)
    };
    let is_it = of("Action")? == "ConfirmSubscription" && of("TopicArn")? == topic.arn;
    (is_it && of("Token") == message.token).then_some(url)
}

fn invalid(reason: &'static str) -> AuthError {
    AuthError::Invalid { reason }
}
