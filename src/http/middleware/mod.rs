//! Middleware around all routes or single resources.

pub mod authenticate;
pub mod cors;
pub mod panics;
pub mod rate_limits;
pub mod response;

pub use authenticate::authenticate;
pub use panics::catch_panics;
pub use response::finish_response;
