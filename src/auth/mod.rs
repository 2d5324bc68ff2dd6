//! From a bearer token to a [`Principal`](crate::domain::principal::Principal). Called by `http` for every request that
//! needs a caller, and by the `token` and `dev` commands to mint development tokens.
//!
//! It exists because a JWT library's defaults are no policy: here every issuer has a pinned map from key id to key and
//! algorithm, a token is read strictly before anything in it is believed, and each claim that the broker relies on is
//! required. The guarantees: a principal comes only from a token whose signature was checked with a key of its own issuer
//! under that key's own algorithm; its owner begins with that issuer's prefix and its scopes lie under that issuer's
//! ceiling; a bad token and missing keys are different errors; and no error, log line or `Debug` shows a token or a key.
//!
//! The other way round, [`Signer`] signs what the broker itself says: receipts of confirmed uploads, and grants, which are
//! accepted back as bearers. `typ` and `aud` keep callers' tokens, grants and receipts apart.
//!
//! In reading order: `options` (what is configured), `authenticator` (the whole path), `compact` and `json` (reading a
//! token), `claims` and `grants` (judging it), `keys`, `jwk` and `remote` (the keys), `remembered` (tokens seen before),
//! `signer` and `signing_key` (what the broker signs), `mint` (development tokens); and for the bucket's events, which are no
//! callers: `senders`, `sns`, `certificates`, `fetches`.

mod authenticator;
mod certificates;
mod claims;
mod event_auth;
mod fetch_throttle;
mod grants;
mod json;
mod jwk;
mod jwks;
mod jws;
mod keys;
mod mint;
mod options;
mod pem;
mod ring_provider;
mod signer;
mod signing_key;
mod sns;
#[cfg(test)]
mod tests;
mod token_cache;

pub use authenticator::{AuthError, Authenticator};
pub use event_auth::EventSenders;
pub use jwks::Ticks;
pub use mint::{MintRequest, mint_hs256};
pub use options::{Algorithm, AuthSetupError, IssuerOptions, KeySource, PemKey};
pub use signer::{GrantToken, Signer, SignerOptions, SignerSetupError, SigningKeyPem};
pub use signing_key::new_signing_key_pem;
pub use sns::{SnsKind, SnsMessage, SnsOptions, SnsTopic};
