//! Takes the configuration apart: each room gets options of its own, so that none knows how they were written.

use crate::auth::{
    Algorithm, IssuerOptions, KeySource, PemKey, SignerOptions, SigningKeyPem, SnsOptions, SnsTopic,
};
use crate::broker::{BrokerOptions, SweepOptions};
use crate::config::{
    self, AccessKey, Auth, Config, Events, Issuer, IssuerKeys, KeyAlgorithm, PublicKey, ReceiptKey,
};
use crate::db::{DbOptions, PendingQuota};
use crate::http::{DemoOptions, HttpOptions, Proxies, Rate};
use crate::storage::{CredentialSource, StoreOptions};
use crate::workers::{SweeperOptions, WorkersOptions};

pub(super) fn broker(config: &Config) -> BrokerOptions {
    BrokerOptions {
        fields: config.fields().clone(),
        layout: config.storage.layout(),
        bucket: config.storage.bucket.clone(),
        proof: config.storage.checksum_proof(),
        confirms_in_flight: config.limits.confirms_in_flight,
        notification_queue_len: config.events.queue_len,
        download_lifetime_secs: config.limits.download_lifetime_secs,
        sweep: SweepOptions {
            retry_secs: config.sweeper.interval_secs,
            attempt_stale_secs: config.sweeper.attempt_stale_secs,
            staging_max_age_secs: config.sweeper.staging_max_age_secs,
        },
    }
}

/// What the database needs, for `migrate` too.
pub fn database(config: &Config) -> DbOptions {
    let (database, limits) = (&config.database, &config.limits);
    DbOptions {
        url: database.url.clone(),
        pool_size: database.pool_size,
        read_wait_ms: database.read_wait_ms,
        write_wait_ms: database.write_wait_ms,
        queue_len: database.queue_len,
        batch_max: database.batch_max,
        subscriptions: Vec::new(),
        quota: PendingQuota {
            uploads: limits.pending_uploads_per_owner,
            bytes: limits.pending_bytes_per_owner,
        },
    }
}

pub(super) fn store(config: &Config) -> StoreOptions {
    let storage = &config.storage;
    let longest = config
        .fields()
        .iter()
        .map(|policy| policy.url_lifetime_secs)
        .chain([config.limits.download_lifetime_secs])
        .max();
    StoreOptions {
        bucket: storage.bucket.clone(),
        region: storage.region.clone(),
        endpoint: storage.endpoint.clone(),
        public_endpoint: storage.public_endpoint.clone(),
        path_style: storage.path_style,
        credentials: storage
            .credentials
            .as_ref()
            .map_or(CredentialSource::Chain, credentials),
        signer_credentials: storage.signer_credentials.as_ref().map(credentials),
        longest_url_lifetime_secs: longest.unwrap_or_default(),
        public_base_url: storage.public_base_url.clone(),
        attempt_timeout_ms: storage.attempt_timeout_ms,
        operation_timeout_ms: storage.operation_timeout_ms,
        copy_base_ms: storage.copy_base_ms,
        copy_bytes_per_sec: storage.copy_bytes_per_sec,
        layout: storage.layout(),
        expected_bucket_owner: storage.expected_bucket_owner.clone(),
    }
}

fn credentials(key: &AccessKey) -> CredentialSource {
    CredentialSource::Static {
        access_key_id: key.id.clone(),
        secret: key.secret.clone(),
        session_token: None,
    }
}

pub(super) fn issuers(auth: &Auth) -> Vec<IssuerOptions> {
    let one = |issuer: &Issuer| IssuerOptions {
        name: issuer.name.clone(),
        issuer: issuer.issuer.clone(),
        audience: issuer.audience.clone(),
        owner_prefix: issuer.owner_prefix.clone(),
        scopes: issuer.scopes.clone(),
        max_lifetime_secs: auth.max_token_lifetime_secs,
        leeway_secs: auth.leeway_secs,
        keys: key_source(&issuer.keys),
    };
    auth.issuers.iter().map(one).collect()
}

fn key_source(keys: &IssuerKeys) -> KeySource {
    match keys {
        IssuerKeys::Secret { kid, secret } => KeySource::Secret {
            kid: kid.clone(),
            secret: secret.clone(),
        },
        IssuerKeys::Public(keys) => KeySource::Pem(keys.iter().map(pem_key).collect()),
        IssuerKeys::Jwks(url) => KeySource::Jwks {
            url: url.to_string(),
        },
    }
}

fn pem_key(key: &PublicKey) -> PemKey {
    PemKey {
        kid: key.kid.clone(),
        algorithm: match key.algorithm {
            KeyAlgorithm::Rs256 => Algorithm::RS256,
            KeyAlgorithm::Es256 => Algorithm::ES256,
            KeyAlgorithm::EdDsa => Algorithm::EdDSA,
        },
        pem: key.pem.clone(),
    }
}

/// Each topic with the one origin that its certificates may come from.
pub(super) fn sns(events: &Events) -> SnsOptions {
    let stand_in = events.sns_endpoint.as_ref();
    let stand_in = stand_in.map(|url| url.origin().ascii_serialization());
    let one = |topic: &config::SnsTopic| SnsTopic {
        arn: topic.arn.clone(),
        origin: stand_in
            .clone()
            .unwrap_or_else(|| format!("https://{}", topic.host)),
    };
    SnsOptions {
        topics: events.sns_topics.iter().map(one).collect(),
        allow_sha1: events.sns_allow_sha1,
    }
}

/// What receipts and grants are signed with, at a server that clients reach at `url`.
pub(super) fn signer(config: &Config, url: &str) -> SignerOptions {
    let receipts = &config.receipts;
    let key = |key: &ReceiptKey| SigningKeyPem {
        kid: key.kid.clone(),
        pem: key.pem.clone(),
    };
    SignerOptions {
        issuer: receipts.issuer.clone().unwrap_or_else(|| url.to_owned()),
        receipts_audience: receipts.audience.clone(),
        receipt_lifetime_secs: receipts.lifetime_secs,
        keys: receipts.keys.iter().map(key).collect(),
    }
}

pub(super) fn workers(config: &Config) -> WorkersOptions {
    let sweeper = &config.sweeper;
    WorkersOptions {
        removal_interval_secs: config.workers.removal_interval_secs,
        prune_interval_secs: config.workers.prune_interval_secs,
        recount_interval_secs: config.workers.recount_interval_secs,
        sweeper: sweeper.enabled.then_some(SweeperOptions {
            interval_secs: sweeper.interval_secs,
            bucket_interval_secs: sweeper.bucket_interval_secs,
            batch: sweeper.batch,
            lease_secs: sweeper.lease_secs,
        }),
    }
}

pub(super) fn http(config: &Config, url: &str, demo: Option<DemoOptions>) -> HttpOptions {
    let (server, limits) = (&config.server, &config.limits);
    HttpOptions {
        public_url: url.to_owned(),
        allowed_origins: config.cors.allowed_origins.clone(),
        body_max_bytes: server.body_limit_bytes,
        header_timeout_ms: server.header_timeout_ms,
        body_timeout_ms: server.body_timeout_ms,
        max_connections: server.max_connections,
        connections_per_address: limits.connections_per_address,
        workers: server.workers,
        shutdown_timeout_secs: server.shutdown_timeout_secs,
        page_default: limits.page_default,
        page_max: limits.page_max,
        owner_rate: Rate {
            per_sec: limits.requests_per_owner_per_sec,
            burst: limits.requests_per_owner_burst,
        },
        address_rate: Rate {
            per_sec: limits.requests_per_address_per_sec,
            burst: limits.requests_per_address_burst,
        },
        proxies: Proxies {
            trusted: server.trusted_proxies.clone(),
            header: server.forwarded_header,
        },
        demo,
    }
}
