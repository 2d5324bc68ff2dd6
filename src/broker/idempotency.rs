//! Requests with an idempotency key that are in progress in this process.
//!
//! `db` claims the key in the transaction of the request's effect. The set here only refuses a second request with the same key at
//! once, instead of letting it wait for the first.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::db::IdempotencyClaim;
use crate::domain::principal::Principal;

use super::{Broker, BrokerError};

/// An idempotency key as a request carried it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key.
    pub key: String,
    /// The hash of the parsed request. The same key with another hash is refused.
    pub body_hash: String,
}

/// Issuer, subject, route and key.
type Scope = [String; 4];

/// The requests with a key that are in progress.
#[derive(Clone, Default)]
pub(super) struct RequestsInProgress(Arc<Mutex<HashSet<Scope>>>);

/// A request with a key, in progress until this is dropped.
pub(super) struct KeyedRequest {
    in_progress: RequestsInProgress,
    scope: Scope,
    body_hash: String,
}

impl RequestsInProgress {
    /// `None` if a request with this key is in progress already.
    fn start(&self, scope: Scope, body_hash: String) -> Option<KeyedRequest> {
        let mut scopes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        scopes.insert(scope.clone()).then(|| KeyedRequest {
            in_progress: self.clone(),
            scope,
            body_hash,
        })
    }
}

impl KeyedRequest {
    /// The request's claim on its key; `result_id` is the id that the request creates or changes.
    pub(super) fn claim(&self, result_id: String, at: DateTime<Utc>) -> IdempotencyClaim {
        let [issuer, subject, route, key] = self.scope.clone();
        IdempotencyClaim {
            issuer,
            subject,
            route,
            key,
            body_hash: self.body_hash.clone(),
            result_id,
            at,
        }
    }
}

impl Drop for KeyedRequest {
    fn drop(&mut self) {
        let scopes = self.in_progress.0.lock();
        let mut scopes = scopes.unwrap_or_else(PoisonError::into_inner);
        scopes.remove(&self.scope);
    }
}

impl Broker {
    /// Marks a request with a key as in progress, and refuses a second one meanwhile. `None` for a request without a key.
    pub(super) fn start_keyed(
        &self,
        caller: &Principal,
        route: &str,
        key: Option<IdempotencyKey>,
    ) -> Result<Option<KeyedRequest>, BrokerError> {
        let Some(IdempotencyKey { key, body_hash }) = key else {
            return Ok(None);
        };
        // A caller with a grant has the issuer "grant", which no configured issuer may be named, and the grant's id as subject.
        let (issuer, subject) = (caller.issuer.clone(), caller.subject.clone());
        let scope = [issuer, subject, route.to_owned(), key];
        let started = self.0.in_progress.start(scope, body_hash);
        started.map(Some).ok_or(BrokerError::RequestInProgress)
    }
}
