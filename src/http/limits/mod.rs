//! Limits that are kept in memory: requests by address and owner, connections by address.

pub mod client_address;
pub mod connections;
pub mod rate;
pub mod requests;
