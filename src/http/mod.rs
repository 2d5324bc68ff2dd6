//! The HTTP API.
//!
//! `app` calls [`serve`]. A request passes the middleware, then the extractors ([`extract`]), then a handler in [`resources`] or
//! [`ops`], which calls one method of the broker and turns its result into a response.
//!
//! Guarantees: object bytes never pass through a handler. Every error response is a problem document with a code of one table
//! ([`problem::codes`]). No log line and no metric contains a query, a token or a presigned URL.
//!
//! Start with [`routes`], which lists every route on one page.

mod admin;
mod examples;
mod extract;
mod limits;
mod middleware;
mod openapi;
mod ops;
mod pages;
mod problem;
mod public_url;
mod resources;
mod routes;
mod server;
mod views;

#[cfg(test)]
mod tests;

pub use self::admin::serve_admin;
pub use self::extract::query::age_secs;
pub use self::openapi::openapi;
pub use self::ops::timeline::TimelineView;
pub use self::pages::DemoOptions;
pub use self::server::{HttpOptions, serve, worker_threads};
pub use crate::domain::upload_view::UploadView;
