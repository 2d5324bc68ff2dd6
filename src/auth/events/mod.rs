//! Authenticates messages about the bucket's objects: SNS by its signature, other senders by a secret.

mod certificates;
mod fetch_throttle;
mod sns;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret, SecretString};

use super::AuthError;
use crate::config::Events;
use crate::outbound::Outbound;

use fetch_throttle::Sender;
use sns::Sns;
pub use sns::{SnsKind, SnsMessage};

/// The longest `Authorization` header that is read, in bytes.
const MAX_AUTHORIZATION_BYTES: usize = 1024;

/// The accepted senders of bucket events. One per server, shared in an `Arc`.
pub struct EventSenders {
    secrets: Vec<SecretString>,
    sns: Sns,
}

impl EventSenders {
    /// Accepts the configured secrets and topics.
    pub fn new(events: &Events, outbound: Outbound) -> EventSenders {
        let secrets = [&events.secret, &events.previous_secret];
        EventSenders {
            secrets: secrets.into_iter().flatten().cloned().collect(),
            sns: Sns::new(events.sns_topics.clone(), events.sns_allow_sha1, outbound),
        }
    }

    /// Accepts no sender; for the tests of modules that may not import `outbound`.
    #[cfg(test)]
    pub(crate) fn none() -> EventSenders {
        let outbound = Outbound::new().expect("an HTTP client needs no network");
        EventSenders {
            secrets: Vec::new(),
            sns: Sns::new(Vec::new(), false, outbound),
        }
    }

    /// Whether any SNS topic is configured.
    pub fn expects_sns(&self) -> bool {
        self.sns.has_topics()
    }

    /// Checks an `Authorization` header: `Bearer <secret>`, the secret alone, or Basic with it as the password.
    pub fn check_secret(&self, authorization: &str) -> Result<(), AuthError> {
        let given = secret_in(authorization).ok_or(AuthError::Invalid {
            reason: "the Authorization header is neither Bearer nor Basic",
        })?;
        // Compares the hashes of all secrets in full, so that the time reveals nothing about a secret.
        let given = digest(&SHA256, given.as_bytes());
        let same = |secret: &SecretString| {
            let known = digest(&SHA256, secret.expose_secret().as_bytes());
            let pairs = known.as_ref().iter().zip(given.as_ref());
            pairs.fold(0, |seen, (a, b)| seen | (a ^ b)) == 0
        };
        let matching = self.secrets.iter().filter(|secret| same(secret)).count();
        match matching {
            0 => Err(AuthError::Invalid {
                reason: "the secret is neither events.secret nor events.previous_secret",
            }),
            _ => Ok(()),
        }
    }

    /// Checks that SNS signed the message, for a configured topic. A fetch of its certificate counts against `sender`.
    pub async fn verify(
        &self,
        message: &SnsMessage,
        sender: Sender,
        now: DateTime<Utc>,
    ) -> Result<(), AuthError> {
        self.sns.verify(message, sender, now).await
    }

    /// Confirms the subscription of a verified message.
    pub async fn subscribe(&self, message: &SnsMessage) -> Result<(), AuthError> {
        self.sns.subscribe(message).await
    }
}

fn secret_in(authorization: &str) -> Option<String> {
    if authorization.len() > MAX_AUTHORIZATION_BYTES {
        return None;
    }
    let Some((scheme, rest)) = authorization.trim().split_once(' ') else {
        // MinIO sends its `auth_token` without a scheme.
        return Some(authorization.trim().to_owned());
    };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    Some(pair.split_once(':')?.1.to_owned())
}

impl fmt::Debug for EventSenders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secrets, sns) = (self.secrets.len(), self.expects_sns());
        write!(f, "EventSenders {{ secrets: {secrets}, sns: {sns} }}")
    }
}
