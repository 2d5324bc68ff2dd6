//! Which bearer tokens make a principal, tested on `bytepass::auth` without a server.

mod forged;
mod issuer_setup;
mod jwks;
mod jwt;
mod malformed;
mod published_keys;
