//! Signatures by Standard Webhooks: HMAC-SHA256 over id, time and body, one for each secret that is in force.

use secrecy::{ExposeSecret as _, SecretString};
use standardwebhooks::{Webhook, WebhookError};

/// Signs with every secret of an endpoint. No `Debug`: it holds them.
pub(super) struct Signer(Vec<Webhook>);

impl Signer {
    /// From secrets as they are configured.
    pub(super) fn new(secrets: &[SecretString]) -> Result<Signer, WebhookError> {
        let keys: Result<Vec<Webhook>, WebhookError> = secrets
            .iter()
            .map(|secret| Webhook::new(secret.expose_secret()))
            .collect();
        keys.map(Signer)
    }

    /// The three headers. While a secret is being replaced there are two signatures, and a receiver accepts either.
    pub(super) fn headers(
        &self,
        id: &str,
        timestamp: i64,
        body: &str,
    ) -> Result<[(&'static str, String); 3], WebhookError> {
        let signatures: Result<Vec<String>, WebhookError> = self
            .0
            .iter()
            .map(|key| key.sign(id, timestamp, body.as_bytes()))
            .collect();
        Ok([
            (standardwebhooks::HEADER_WEBHOOK_ID, id.to_owned()),
            (
                standardwebhooks::HEADER_WEBHOOK_TIMESTAMP,
                timestamp.to_string(),
            ),
            (
                standardwebhooks::HEADER_WEBHOOK_SIGNATURE,
                signatures?.join(" "),
            ),
        ])
    }
}
