//! The HTTP API: what `API.md` promises, and nothing about how it is done.
//!
//! `app` calls [`serve`]; everything that comes in goes through the extractors ([`extract`]) to a handler of four lines, which calls
//! one verb of the broker. The guarantees: object bytes never pass through a handler; every answer that is no success is a problem
//! document with a code of one table ([`codes`]); no answer, log line or metric shows a query, a token or a presigned URL that it
//! doesn't have to.
//!
//! In reading order: `routes` (all of them on one page), `uploads`, `attachments`, `grants`, `receipts`, `events` and `operations`
//! (the handlers), `records` (what a bucket's event says), `requests`, `views` and `statistics` (what goes in and out), `extract`,
//! `codes`, `problem` and `refusals` (what goes wrong), `middleware`, `address` and `rate` (who may ask how often), `openapi`, `pages`,
//! `demo`, `server`.

mod admin;
mod demo;
mod examples;
mod extract;
mod limits;
mod middleware;
mod openapi;
mod operations;
mod ops;
mod ops_views;
mod pages;
mod problem;
mod public_url;
mod resources;
mod routes;
mod server;
mod statistics;
mod views;

#[cfg(test)]
mod tests;

pub use self::admin::serve_admin;
pub use self::demo::DemoOptions;
pub use self::extract::query::age_secs;
pub use self::limits::client_address::Proxies;
pub use self::limits::rate::Rate;
pub use self::openapi::openapi;
pub use self::ops::TimelineView;
pub use self::server::{HttpOptions, serve, worker_threads};
pub use self::views::UploadView;
