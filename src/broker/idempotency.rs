//! Requests that carry an idempotency key: whose key it is, and which of them are under way here.
//!
//! The claim itself is made by `db`, in the transaction of the effect. This board only spares a client that sends one request
//! twice at once the wait, and tells it so.

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
    /// The hash of what the request asks for, whatever the spelling: another hash under the same key is refused.
    pub body_hash: String,
}

/// A caller, a route and a key.
type Scope = [String; 4];

/// The requests with a key that are under way.
#[derive(Clone, Default)]
pub(super) struct Repeatables(Arc<Mutex<HashSet<Scope>>>);

/// A request with a key, under way until it is dropped.
pub(super) struct Repeatable {
    board: Repeatables,
    scope: Scope,
    body_hash: String,
}

impl Repeatables {
    fn enter(&self, scope: Scope, body_hash: String) -> Option<Repeatable> {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.insert(scope.clone()).then(|| Repeatable {
            board: self.clone(),
            scope,
            body_hash,
        })
    }
}

impl Repeatable {
    /// The claim of the request, which makes `result_id` or is about it.
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

impl Drop for Repeatable {
    fn drop(&mut self) {
        let mut board = self.board.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.remove(&self.scope);
    }
}

impl Broker {
    /// Notes that a request with a key is under way; refuses a second one meanwhile. `None` for one without a key.
    pub(super) fn repeatable(
        &self,
        caller: &Principal,
        route: &str,
        key: Option<IdempotencyKey>,
    ) -> Result<Option<Repeatable>, BrokerError> {
        let Some(IdempotencyKey { key, body_hash }) = key else {
            return Ok(None);
        };
        // A grant's holder is the issuer "grant", which no configured one may be named, with the grant's id as its subject.
        let (issuer, subject) = (caller.issuer.clone(), caller.subject.clone());
        let scope = [issuer, subject, route.to_owned(), key];
        let entered = self.0.repeatables.enter(scope, body_hash);
        entered.map(Some).ok_or(BrokerError::RequestInProgress)
    }
}
