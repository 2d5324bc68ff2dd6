//! A webhook endpoint: checked when the broker starts, then called with signed requests by Standard Webhooks.

use chrono::Utc;
use secrecy::{ExposeSecret as _, SecretString};
use standardwebhooks::Webhook;

use super::schedule::Answer;
use crate::config::WebhookEndpoint;
use crate::outbound::{AddressRule, Limits, Outbound, OutboundError, Post, check_url};

/// Why an endpoint can't be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The URL's address is not allowed.
    #[error("webhook endpoint {0}: {1}")]
    Url(String, OutboundError),
    /// A secret is malformed.
    #[error("webhook endpoint {0}: a secret must be whsec_ and base64")]
    Secret(String),
}

/// An endpoint, ready to be called.
pub struct Endpoint {
    /// The name.
    pub name: String,
    /// The most concurrent deliveries.
    pub concurrency: usize,
    url: String,
    rule: AddressRule,
    signer: Signer,
}

impl Endpoint {
    pub(super) fn new(config: &WebhookEndpoint) -> Result<Endpoint, WebhookError> {
        let rule = match (config.allow_private, config.url.starts_with("http:")) {
            (false, _) => AddressRule::PublicOnly,
            (true, true) => AddressRule::PrivateOnly,
            (true, false) => AddressRule::AnyButLinkLocal,
        };
        let bad_url = |error| WebhookError::Url(config.name.clone(), error);
        check_url(&config.url, rule).map_err(bad_url)?;
        Ok(Endpoint {
            name: config.name.clone(),
            concurrency: config.concurrency.max(1),
            url: config.url.clone(),
            rule,
            signer: Signer::new(&config.secrets)
                .map_err(|_| WebhookError::Secret(config.name.clone()))?,
        })
    }

    /// Sends one request. It is signed now, because receivers compare the signature's time with their clock.
    pub(super) async fn post(
        &self,
        outbound: &Outbound,
        id: &str,
        body: String,
        limits: Limits,
    ) -> Answer {
        let mut headers = vec![("content-type", "application/json".to_owned())];
        match self.signer.headers(id, Utc::now().timestamp(), &body) {
            Ok(signed) => headers.extend(signed),
            Err(error) => return Answer::failed(format!("the request can't be signed: {error}")),
        }
        let post = Post {
            url: &self.url,
            rule: self.rule,
            headers: &headers,
            body: body.into(),
        };
        match outbound.post(post, limits).await {
            Ok(posted) => Answer::of(posted.status, posted.retry_after),
            // None of these errors contains the URL or a part of the answer.
            Err(error) => Answer::failed(error.to_string()),
        }
    }
}

/// Signs with each of an endpoint's secrets. Has no `Debug`, because it holds them.
pub(super) struct Signer(Vec<Webhook>);

impl Signer {
    /// From the configured secrets.
    pub(super) fn new(secrets: &[SecretString]) -> Result<Signer, standardwebhooks::WebhookError> {
        let keys = secrets
            .iter()
            .map(|secret| Webhook::new(secret.expose_secret()));
        keys.collect::<Result<Vec<Webhook>, _>>().map(Signer)
    }

    /// The three headers. While a secret is being replaced there are two signatures, and a receiver accepts either.
    pub(super) fn headers(
        &self,
        id: &str,
        timestamp: i64,
        body: &str,
    ) -> Result<[(&'static str, String); 3], standardwebhooks::WebhookError> {
        let signatures = self
            .0
            .iter()
            .map(|key| key.sign(id, timestamp, body.as_bytes()));
        let signatures: Vec<String> = signatures.collect::<Result<_, _>>()?;
        Ok([
            (standardwebhooks::HEADER_WEBHOOK_ID, id.to_owned()),
            (
                standardwebhooks::HEADER_WEBHOOK_TIMESTAMP,
                timestamp.to_string(),
            ),
            (
                standardwebhooks::HEADER_WEBHOOK_SIGNATURE,
                signatures.join(" "),
            ),
        ])
    }
}
