//! A broker whose issuer publishes its keys at a server of the test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytepass::auth::{Algorithm, AuthError, Authenticator};
use bytepass::config::IssuerKeys;
use bytepass::domain::principal::Principal;
use bytepass::outbound::Outbound;
use serde_json::{Value, json};

use super::key_server::{Answer, KeyServer, key_set};
use super::token_signers::*;

/// A broker whose issuer publishes at `server`, and a clock that a test moves.
pub struct Broker {
    pub auth: Authenticator,
    pub server: KeyServer,
    ahead_secs: Arc<AtomicU64>,
}

impl Broker {
    pub async fn start(answer: Answer) -> Broker {
        let server = KeyServer::start(answer).await;
        let (began, ahead_secs) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let ahead = ahead_secs.clone();
        let ticks = Arc::new(move || began + Duration::from_secs(ahead.load(Ordering::SeqCst)));
        let issuer = options(IssuerKeys::Jwks(server.url.parse().unwrap()));
        let outbound = Outbound::new().unwrap();
        Broker {
            auth: Authenticator::with_ticks(&auth(vec![issuer]), outbound, ticks).unwrap(),
            server,
            ahead_secs,
        }
    }

    pub async fn publishing(keys: &[Value]) -> Broker {
        Broker::start(Answer::Body(key_set(keys))).await
    }

    pub fn pass(&self, secs: u64) {
        self.ahead_secs.fetch_add(secs, Ordering::SeqCst);
    }

    pub async fn ask(&self, token: &str) -> Result<Arc<Principal>, AuthError> {
        self.auth.authenticate(token, at(NOW)).await
    }
}

pub const UNKNOWN: &str = "the token's key is unknown";

pub fn es() -> (Signer, String) {
    let signer = Signer::new(Algorithm::ES256);
    let token = signer.token(&claims());
    (signer, token)
}

/// A token that was never used before, so that no cache knows it.
pub fn fresh_token(signer: &Signer, n: u64) -> String {
    signer.token(&with(claims(), "jti", json!(n)))
}
