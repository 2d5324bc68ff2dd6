//! What an operator relies on: metrics, traces, start and stop, secrets, the database view.

mod database_view;
mod deploy;
mod metrics;
mod ops_api;
mod secrets;
mod start_stop;
mod stop_order;
mod traces;
