//! Verifies messages of Amazon SNS.
//!
//! Guarantees: a message is accepted only if its topic is configured, its certificate is on the host that serves that topic's
//! region, under the path that SNS gives its certificates, and the signature covers all that is read from it. A subscription is
//! confirmed on that host only, for that topic only.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use url::Url;

use super::certificates::{Certificates, Digest};
use super::fetch_throttle::Sender;
use crate::auth::AuthError;
use crate::config::SnsTopic;
use crate::outbound::{AddressRule, Limits, Outbound};

/// The beginning and the end of the path of each SNS certificate.
const CERTIFICATE_PATH: (&str, &str) = ("/SimpleNotificationService-", ".pem");
/// The longest certificate id between them, in bytes.
const MAX_CERTIFICATE_ID: usize = 64;
/// The limits of the request that confirms a subscription.
const SUBSCRIBE_LIMITS: Limits = Limits {
    max_bytes: 16 * 1024,
    deadline: Duration::from_secs(5),
};

/// The kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum SnsKind {
    /// A published message.
    Notification,
    /// A new subscription, which the receiver must confirm.
    SubscriptionConfirmation,
    /// The end of a subscription.
    UnsubscribeConfirmation,
}

/// A message as SNS posts it. Nothing in it is verified before [`Sns::verify`].
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
    /// Parses a body; `None` if it is not a message of SNS.
    pub fn parse(body: &[u8]) -> Option<SnsMessage> {
        serde_json::from_slice(body).ok()
    }

    /// Its kind.
    pub fn kind(&self) -> SnsKind {
        self.kind
    }

    /// The published text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The topic's ARN.
    pub fn topic(&self) -> &str {
        &self.topic_arn
    }

    /// The signed text: the name and the value of each member on a line each, in alphabetical order.
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
    // Omits the signature, and the token in SubscribeURL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnsMessage {{ {:?}, {:?} }}", self.kind, self.topic_arn)
    }
}

/// Verifies messages for the configured topics.
pub(super) struct Sns {
    topics: Vec<SnsTopic>,
    allow_sha1: bool,
    outbound: Outbound,
    certificates: Arc<Certificates>,
}

impl Sns {
    /// Accepts these topics, and `SignatureVersion` 1 (SHA-1) if `allow_sha1`.
    pub(super) fn new(topics: Vec<SnsTopic>, allow_sha1: bool, outbound: Outbound) -> Sns {
        Sns {
            topics,
            allow_sha1,
            certificates: Arc::new(Certificates::new(outbound.clone())),
            outbound,
        }
    }

    /// Whether any topic is configured.
    pub(super) fn has_topics(&self) -> bool {
        !self.topics.is_empty()
    }

    /// Checks that SNS signed the message, for a configured topic.
    pub(super) async fn verify(
        &self,
        message: &SnsMessage,
        sender: Sender,
        now: DateTime<Utc>,
    ) -> Result<(), AuthError> {
        let topic = self.topic_of(message)?;
        let digest = match message.signature_version.as_str() {
            "2" => Digest::Sha256,
            "1" if self.allow_sha1 => Digest::Sha1,
            "1" => {
                return Err(AuthError::invalid(
                    "the message is signed with SHA-1: set the topic's SignatureVersion to 2, or events.sns_allow_sha1",
                ));
            }
            _ => {
                return Err(AuthError::invalid(
                    "the message's SignatureVersion is unknown",
                ));
            }
        };
        let url = certificate_url(&message.signing_cert_url, topic)?;
        let signature = STANDARD
            .decode(&message.signature)
            .map_err(|_| AuthError::invalid("the message's signature is not base64"))?;
        let certificate = self.certificates.at(&url, sender).await?;
        if !certificate.is_valid(now) {
            return Err(AuthError::invalid(
                "the certificate of the message is not valid now",
            ));
        }
        if !certificate.verifies(digest, message.signed_text().as_bytes(), &signature) {
            return Err(AuthError::invalid("the message's signature is wrong"));
        }
        self.certificates.has_verified(&url);
        Ok(())
    }

    /// Confirms the subscription of a verified message. SNS answers a repeated confirmation in the same way.
    pub(super) async fn subscribe(&self, message: &SnsMessage) -> Result<(), AuthError> {
        let topic = self.topic_of(message)?;
        let url = subscribe_url(message, topic).ok_or(AuthError::invalid(
            "the message's SubscribeURL is not on SNS's host, or for another topic",
        ))?;
        let rule = AddressRule::AnyButLinkLocal;
        let answer = self
            .outbound
            .get(url.as_str(), rule, SUBSCRIBE_LIMITS)
            .await;
        let failed = match answer {
            Ok(fetched) if fetched.status == 200 => {
                tracing::info!(topic = %topic.arn, "subscription confirmed");
                return Ok(());
            }
            Ok(fetched) => format!("the status is {}, not 200", fetched.status),
            Err(error) => error.to_string(),
        };
        tracing::warn!(topic = %topic.arn, reason = %failed, "subscription not confirmed");
        Err(AuthError::KeysUnavailable)
    }

    fn topic_of(&self, message: &SnsMessage) -> Result<&SnsTopic, AuthError> {
        let mut topics = self.topics.iter();
        topics
            .find(|topic| topic.arn == message.topic_arn)
            .ok_or(AuthError::invalid(
                "the message's topic is not in events.sns_topics",
            ))
    }
}

/// The URL of the message's certificate. Refused unless it is one where SNS serves certificates for the topic's region.
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
        // The text must be the parsed URL exactly: a parser could repair or skip parts of it.
        named && url.as_str() == text && text == format!("{}{}", topic.origin, url.path())
    };
    Url::parse(text)
        .ok()
        .filter(is_ours)
        .ok_or(AuthError::invalid(
            "the message's SigningCertURL is not that of an SNS certificate",
        ))
}

/// The message's SubscribeURL, if it confirms a subscription to this topic on SNS's host.
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
