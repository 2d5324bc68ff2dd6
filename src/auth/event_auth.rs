//! Who may tell the broker of objects that arrived: SNS by its signature, everyone else by a secret.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret, SecretString};

use super::authenticator::AuthError;
use super::sns::{Sns, SnsMessage, SnsOptions};
use crate::auth::fetch_throttle::Sender;
use crate::outbound::Outbound;

/// The longest `Authorization` header that is looked at, in bytes.
const MAX_AUTHORIZATION_BYTES: usize = 1024;

/// The senders of events. One for the whole server; share it in an `Arc`.
pub struct EventSenders {
    secrets: Vec<SecretString>,
    sns: Sns,
}

impl EventSenders {
    /// Believes these secrets and these topics; without any, nobody.
    pub fn new(secrets: Vec<SecretString>, sns: SnsOptions, outbound: Outbound) -> EventSenders {
        EventSenders {
            secrets,
            sns: Sns::new(sns, outbound),
        }
    }

    /// Believes nobody; for the tests of other rooms, which may not name `outbound`.
    #[cfg(test)]
    pub(crate) fn nobody() -> EventSenders {
        let outbound = Outbound::new().expect("an HTTP client needs no network");
        EventSenders::new(Vec::new(), SnsOptions::default(), outbound)
    }

    /// Whether a message of SNS is worth being read.
    pub fn expects_sns(&self) -> bool {
        self.sns.has_topics()
    }

    /// Judges an `Authorization` header: `Bearer <secret>`, the secret alone, or Basic with it as the password.
    pub fn check_secret(&self, authorization: &str) -> Result<(), AuthError> {
        let given = secret_in(authorization).ok_or(AuthError::Invalid {
            reason: "the Authorization header is neither Bearer nor Basic",
        })?;
        // Hashes of equal length, all of them compared to the end: the time tells nothing of a secret.
        let given = digest(&SHA256, given.as_bytes());
        let same = |secret: &SecretString| {
            let known = digest(&SHA256, secret.expose_secret().as_bytes());
            let pairs = known.as_ref().iter().zip(given.as_ref());
            pairs.fold(0, |seen, (a, b)| seen | (a ^ b)) == 0
        };
        let matching = self.secrets.iter().filter(|secret| same(secret)).count();
        match matching {
            0 => Err(AuthError::Invalid {
                reason: "the secret is none of events.secret and events.previous_secret",
            }),
            _ => Ok(()),
        }
    }

    /// Whether SNS itself signed the message, for a configured topic. What is asked of SNS for it is counted for this sender.
    pub async fn verify(
        &self,
        message: &SnsMessage,
        sender: Sender,
        now: DateTime<Utc>,
    ) -> Result<(), AuthError> {
        self.sns.verify(message, sender, now).await
    }

    /// Confirms the subscription that a verified message asks about.
    pub async fn subscribe(&self, message: &SnsMessage) -> Result<(), AuthError> {
        self.sns.subscribe(message).await
    }
}

fn secret_in(authorization: &str) -> Option<String> {
    if authorization.len() > MAX_AUTHORIZATION_BYTES {
        return None;
    }
    let Some((scheme, rest)) = authorization.trim().split_once(' ') else {
        // MinIO sends its `auth_token` as it was written.
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
