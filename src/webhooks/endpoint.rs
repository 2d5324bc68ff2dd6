//! Endpoints: who is told of what, where, and signed with which secrets.

use secrecy::SecretString;

use super::sign::Signer;
use crate::db::Subscription;
use crate::domain::event::EventType;
use crate::outbound::{AddressRule, OutboundError, check_url};

/// How deliveries are made.
#[derive(Debug, Clone)]
pub struct WebhookOptions {
    /// Who is told.
    pub endpoints: Vec<EndpointOptions>,
    /// The pauses before each attempt, in seconds: the first attempt has the first. After the last one a delivery is dead.
    pub schedule_secs: Vec<u32>,
    /// By how much a pause may be longer at random, in percent.
    pub jitter_percent: u32,
    /// How long a worker may keep a delivery, in seconds; longer than an attempt takes.
    pub lease_secs: u32,
    /// How long an attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// The most of an answer's body that is read, in bytes.
    pub max_response_bytes: usize,
}

/// Somebody who is told.
#[derive(Debug, Clone)]
pub struct EndpointOptions {
    /// Its name, for rows, logs and metrics.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// The secrets that sign, `whsec_…`: one, or two while it is being replaced.
    pub secrets: Vec<SecretString>,
    /// What it is told of.
    pub types: Vec<EventType>,
    /// Whether it may lie in a private network, or on this machine, and be called by plain http there.
    pub allow_private: bool,
    /// How many deliveries to it are under way at once.
    pub concurrency: usize,
}

impl WebhookOptions {
    /// What the outbox has to know.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        let of = |endpoint: &EndpointOptions| Subscription {
            endpoint: endpoint.name.clone(),
            types: endpoint.types.clone(),
        };
        self.endpoints.iter().map(of).collect()
    }
}

/// Why an endpoint can't be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Its URL is one that is never called.
    #[error("webhook endpoint {0}: {1}")]
    Url(String, OutboundError),
    /// A secret is no base64.
    #[error("webhook endpoint {0}: a secret must be whsec_ and base64")]
    Secret(String),
}

/// An endpoint, ready to be called.
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// How many deliveries to it are under way at once.
    pub concurrency: usize,
    pub(super) url: String,
    pub(super) rule: AddressRule,
    pub(super) signer: Signer,
}

impl Endpoint {
    pub(super) fn new(options: &EndpointOptions) -> Result<Endpoint, WebhookError> {
        let rule = match (options.allow_private, options.url.starts_with("http:")) {
            (false, _) => AddressRule::PublicOnly,
            (true, true) => AddressRule::PrivateOnly,
            (true, false) => AddressRule::AnyButLinkLocal,
        };
        let bad_url = |error| WebhookError::Url(options.name.clone(), error);
        check_url(&options.url, rule).map_err(bad_url)?;
        Ok(Endpoint {
            name: options.name.clone(),
            concurrency: options.concurrency.max(1),
            url: options.url.clone(),
            rule,
            signer: Signer::new(&options.secrets)
                .map_err(|_| WebhookError::Secret(options.name.clone()))?,
        })
    }
}
