//! Authentication: a bearer token becomes a [`Principal`](crate::domain::principal::Principal); messages about the bucket's
//! objects are checked in [`events`]; receipts and grants are signed in [`signer`].
//!
//! Guarantees: a principal comes only from a token whose signature was checked with a key of its own issuer, under that key's own
//! algorithm; its owner begins with that issuer's prefix and its scopes lie within that issuer's ceiling; each claim that the
//! broker relies on is required; an invalid token and unavailable keys are different errors; and no error, log line or `Debug`
//! shows a token or a key. `typ` and `aud` keep callers' tokens, grants and receipts apart.
//!
//! A JWT library's defaults don't give these: tokens are parsed strictly (`jws`, `json`) before jsonwebtoken checks the signature,
//! and judged by `claims`.

mod authenticator;
mod claims;
mod dev_token;
mod error;
mod events;
mod grants;
mod jws;
mod keys;
mod signer;
mod strict_json;
#[cfg(test)]
mod tests;
mod token_cache;

pub use authenticator::Authenticator;
pub use dev_token::{MintRequest, mint_hs256};
pub use error::{AuthError, AuthSetupError};
pub use events::{EventSenders, SnsKind, SnsMessage};
pub use keys::{Algorithm, Ticks};
pub use signer::{GrantToken, Signer, SignerSetupError, new_signing_key_pem};
