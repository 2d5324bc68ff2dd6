//! The certificates of SNS's signatures, fetched from the pinned host and kept for [`KEPT`].
//!
//! A certificate is trusted because it came from SNS's own host over a TLS connection that `outbound` checked: the file has only the
//! leaf, so there is no chain to verify. Guarantees: a certificate is used within its validity only; one that has verified a
//! message is not evicted for one that has not; and forged messages cause few fetches (`fetch_throttle`).
//!
//! Not moka's `try_get_with`: its fetch ends with the request that drives it, waiters would share a refusal that is for one sender
//! only, and no entry can be kept because it was useful.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use url::Url;
use x509_cert::Certificate as X509;
use x509_cert::der::Decode as _;

use super::fetch_throttle::{FetchThrottle, Sender};
use crate::auth::AuthError;
use crate::outbound::{AddressRule, Limits, Outbound};

/// How long a certificate is used before it is fetched again.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// The most certificates that are kept; SNS has about one per region.
const MAX_KEPT: usize = 16;
/// The bounds of one fetch.
const LIMITS: Limits = Limits {
    max_bytes: 16 * 1024,
    deadline: Duration::from_secs(3),
};

/// The hash function of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digest {
    Sha1,
    Sha256,
}

/// The public key of one certificate, and its validity in seconds since 1970.
pub(super) struct Certificate {
    key: Vec<u8>,
    from_secs: u64,
    until_secs: u64,
}

impl Certificate {
    /// Reads the first certificate of a PEM text; the error says what is wrong with it.
    pub(super) fn read(pem: &[u8]) -> Result<Certificate, &'static str> {
        let der =
            CertificateDer::from_pem_slice(pem).map_err(|_| "it must be a certificate in PEM")?;
        let certificate = X509::from_der(&der).map_err(|_| "it must be an X.509 certificate")?;
        let inner = certificate.tbs_certificate();
        let validity = inner.validity();
        let key = inner
            .subject_public_key_info()
            .subject_public_key
            .as_bytes();
        Ok(Certificate {
            key: key.ok_or("its key has unused bits")?.to_vec(),
            from_secs: validity.not_before.to_unix_duration().as_secs(),
            until_secs: validity.not_after.to_unix_duration().as_secs(),
        })
    }

    /// Whether it is valid at this time.
    pub(super) fn is_valid(&self, now: DateTime<Utc>) -> bool {
        let now = u64::try_from(now.timestamp()).unwrap_or_default();
        (self.from_secs..=self.until_secs).contains(&now)
    }

    /// Whether the signature over the message is its key's: RSA of 2048 to 8192 bits.
    pub(super) fn verifies(&self, digest: Digest, message: &[u8], signature: &[u8]) -> bool {
        let algorithm = match digest {
            Digest::Sha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            Digest::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        };
        let key = UnparsedPublicKey::new(algorithm, &self.key);
        key.verify(message, signature).is_ok()
    }
}

struct Kept {
    certificate: Arc<Certificate>,
    fetched_at: Instant,
    /// Whether it has verified a message, which a forged message can't cause.
    proven: bool,
}

type Fetched = Result<Arc<Certificate>, AuthError>;

#[derive(Default)]
struct State {
    kept: HashMap<String, Kept>,
    /// Running fetches; all messages with the same certificate share one.
    running: HashMap<String, Shared<BoxFuture<'static, Fetched>>>,
    throttle: FetchThrottle,
}

/// The cache of certificates.
pub(super) struct Certificates {
    outbound: Outbound,
    state: Mutex<State>,
}

impl Certificates {
    pub(super) fn new(outbound: Outbound) -> Certificates {
        Certificates {
            outbound,
            state: Mutex::default(),
        }
    }

    /// The certificate at this URL, whose host the caller has checked, for a message of this sender.
    pub(super) async fn at(self: &Arc<Self>, url: &Url, sender: Sender) -> Fetched {
        let fetch = {
            let mut state = self.state();
            if let Some(found) = state.known(url) {
                return Ok(found);
            }
            match state.running.get(url.as_str()) {
                Some(fetch) => fetch.clone(),
                None => self.start(&mut state, url, sender)?,
            }
        };
        fetch.await
    }

    /// Records that the certificate at this URL has verified a message.
    pub(super) fn has_verified(&self, url: &Url) {
        if let Some(kept) = self.state().kept.get_mut(url.as_str()) {
            kept.proven = true;
        }
    }

    fn start(
        self: &Arc<Self>,
        state: &mut State,
        url: &Url,
        sender: Sender,
    ) -> Result<Shared<BoxFuture<'static, Fetched>>, AuthError> {
        let now = Instant::now();
        if !state
            .throttle
            .start(url.as_str(), sender, state.running.len(), now)
        {
            return Err(AuthError::KeysUnavailable);
        }
        let (this, name, at) = (Arc::clone(self), url.to_string(), url.clone());
        // A task of its own, so that the fetch outlives a request whose client disconnects and the others get its result.
        let fetch = tokio::spawn(async move { this.fetch(&at, sender).await });
        let fetch = fetch.map(|done| done.unwrap_or(Err(AuthError::KeysUnavailable)));
        let shared = fetch.boxed().shared();
        state.running.insert(name, shared.clone());
        Ok(shared)
    }

    async fn fetch(&self, url: &Url, sender: Sender) -> Fetched {
        let fetched = self.get(url).await;
        let mut state = self.state();
        state.running.remove(url.as_str());
        let good = fetched.is_ok();
        state
            .throttle
            .ended(url.as_str(), sender, good, Instant::now());
        match fetched {
            Ok(certificate) => {
                let certificate = Arc::new(certificate);
                state.keep(url, certificate.clone());
                Ok(certificate)
            }
            Err(reason) => {
                tracing::warn!(%url, %reason, "certificate of SNS not fetched");
                Err(AuthError::KeysUnavailable)
            }
        }
    }

    async fn get(&self, url: &Url) -> Result<Certificate, String> {
        let rule = AddressRule::AnyButLinkLocal;
        let answer = self.outbound.get(url.as_str(), rule, LIMITS).await;
        match answer.map_err(|error| error.to_string())? {
            fetched if fetched.status == 200 => {
                Certificate::read(&fetched.body).map_err(str::to_owned)
            }
            fetched => Err(format!("the status is {}, not 200", fetched.status)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn known(&self, url: &Url) -> Option<Arc<Certificate>> {
        let found = self.kept.get(url.as_str())?;
        (found.fetched_at.elapsed() < KEPT).then(|| found.certificate.clone())
    }

    fn keep(&mut self, url: &Url, certificate: Arc<Certificate>) {
        let proven = self.kept.remove(url.as_str()).is_some_and(|it| it.proven);
        if self.kept.len() >= MAX_KEPT {
            let oldest = self
                .kept
                .iter()
                .min_by_key(|(_, it)| (it.proven, it.fetched_at));
            if let Some(url) = oldest.map(|(url, _)| url.clone()) {
                self.kept.remove(&url);
            }
        }
        let kept = Kept {
            certificate,
            fetched_at: Instant::now(),
            proven,
        };
        self.kept.insert(url.to_string(), kept);
    }
}
