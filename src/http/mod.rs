//! The HTTP API: what `API.md` promises, and nothing about how it is done.
//!
//! `app` calls [`serve`]; everything that comes in goes through the extractors ([`extract`]) to a handler of four lines, which calls
//! one verb of the broker. The guarantees: object bytes never pass through a handler; every answer that is no success is a problem
//! document with a code of one table ([`codes`]); no answer, log line or metric shows a query, a token or a presigned URL that it
//! doesn't have to.
//!
//! In reading order: `routes` (all of them on one page), `uploads`, `operations` and `events` (the handlers), `requests` and `views` (what goes
//! in and out), `extract`, `codes`, `problem` and `refusals` (what goes wrong), `middleware`, `openapi`, `pages`, `server`.

mod codes;
mod events;
mod examples;
mod extract;
mod middleware;
mod openapi;
mod operations;
mod pages;
mod problem;
mod records;
mod refusals;
mod requests;
mod routes;
mod server;
mod uploads;
mod views;

#[cfg(test)]
mod tests;

pub use self::openapi::openapi;
pub use self::server::{HttpOptions, serve};
