//! Why a request is not authenticated, and why a configuration can't be used.

/// Why a request has no principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The request has no token. 401.
    #[error("a bearer token is needed")]
    Missing,
    /// The token is invalid. 401.
    #[error("{reason}")]
    Invalid {
        /// The reason, a fixed text for the client: it never contains any of the token.
        reason: &'static str,
    },
    /// The issuer's keys are unavailable, so the token can't be judged. 503, with a retry after 30 s.
    #[error("the issuer's keys are unavailable")]
    KeysUnavailable,
}

impl AuthError {
    pub(super) fn invalid(reason: &'static str) -> AuthError {
        AuthError::Invalid { reason }
    }
}

/// An issuer that can't be used as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("issuer `{issuer}`: {problem}")]
pub struct AuthSetupError {
    /// The issuer's configured name.
    pub issuer: String,
    /// What is wrong, and what is allowed.
    pub problem: String,
}
