//! The certificates that SNS signs its messages with: fetched from the pinned host, kept for a while.
//!
//! What vouches for a certificate is that it came from SNS's own host over a TLS connection that `outbound` checked: the file
//! holds the leaf alone, so there is no chain to follow. Guarantees: one fetch at a time and [`BETWEEN_FETCHES`] from one
//! to the next, whatever messages claim; a certificate counts within its validity only, and is asked for anew every
//! [`KEPT`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use url::Url;
use x509_cert::Certificate as X509;
use x509_cert::der::Decode as _;

use super::authenticator::AuthError;
use super::sns::Digest;
use crate::outbound::{AddressRule, Limits, Outbound};

/// The least time from one fetch to the next.
const BETWEEN_FETCHES: Duration = Duration::from_secs(1);
/// How long a certificate is used before it is asked for again.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// How many certificates are kept; SNS has about one for each region.
const MAX_KEPT: usize = 16;
/// What one fetch may take.
const LIMITS: Limits = Limits {
    max_bytes: 16 * 1024,
    deadline: Duration::from_secs(3),
};

/// The public key of one certificate, and when it counts.
pub(super) struct Certificate {
    key: Vec<u8>,
    from_secs: u64,
    until_secs: u64,
}

impl Certificate {
    /// Reads the first certificate of a PEM text; the error says what is wrong with it.
    pub(super) fn read(pem: &[u8]) -> Result<Certificate, &'static str> {
        let der = CertificateDer::from_pem_slice(pem).map_err(|_| "it is no certificate in PEM")?;
        let certificate = X509::from_der(&der).map_err(|_| "it is no X.509 certificate")?;
        let inner = certificate.tbs_certificate();
        let validity = inner.validity();
        let key = inner
            .subject_public_key_info()
            .subject_public_key
            .as_bytes();
        Ok(Certificate {
            key: key.ok_or("its key is not whole")?.to_vec(),
            from_secs: validity.not_before.to_unix_duration().as_secs(),
            until_secs: validity.not_after.to_unix_duration().as_secs(),
        })
    }

    /// Whether it counts at this time.
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
}

/// The certificates seen so far.
pub(super) struct Certificates {
    outbound: Outbound,
    kept: Mutex<HashMap<String, Kept>>,
    last_fetch: tokio::sync::Mutex<Option<Instant>>,
}

impl Certificates {
    pub(super) fn new(outbound: Outbound) -> Certificates {
        Certificates {
            outbound,
            kept: Mutex::default(),
            last_fetch: tokio::sync::Mutex::default(),
        }
    }

    /// The certificate at this URL, which the caller has held against the pinned host.
    pub(super) async fn at(self: &Arc<Self>, url: &Url) -> Result<Arc<Certificate>, AuthError> {
        if let Some(found) = self.known(url) {
            return Ok(found);
        }
        let (this, url) = (Arc::clone(self), url.clone());
        // On its own, so that a sender who hangs up can't spend the fetch without giving the others its result.
        let fetch = tokio::spawn(async move { this.fetch(&url).await });
        fetch.await.unwrap_or(Err(AuthError::KeysUnavailable))
    }

    fn known(&self, url: &Url) -> Option<Arc<Certificate>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(url.as_str())?;
        (found.fetched_at.elapsed() < KEPT).then(|| found.certificate.clone())
    }

    async fn fetch(&self, url: &Url) -> Result<Arc<Certificate>, AuthError> {
        let mut last_fetch = self.last_fetch.lock().await;
        // Whoever waited for the lock mostly finds what the one before has fetched.
        if let Some(found) = self.known(url) {
            return Ok(found);
        }
        if last_fetch.is_some_and(|at| at.elapsed() < BETWEEN_FETCHES) {
            return Err(AuthError::KeysUnavailable);
        }
        let fetched = self.get(url).await;
        // From its end, so that those who queued behind a slow one are told at once and don't wait in a row.
        *last_fetch = Some(Instant::now());
        match fetched {
            Ok(certificate) => {
                let certificate = Arc::new(certificate);
                self.keep(url, certificate.clone());
                Ok(certificate)
            }
            Err(reason) => {
                tracing::warn!(%url, %reason, "the certificate of an SNS message can't be used");
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
            fetched => Err(format!("the status is {} and not 200", fetched.status)),
        }
    }

    fn keep(&self, url: &Url, certificate: Arc<Certificate>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            let oldest = kept.iter().min_by_key(|(_, entry)| entry.fetched_at);
            if let Some(url) = oldest.map(|(url, _)| url.clone()) {
                kept.remove(&url);
            }
        }
        let fetched_at = Instant::now();
        let entry = Kept {
            certificate,
            fetched_at,
        };
        kept.insert(url.to_string(), entry);
    }
}
