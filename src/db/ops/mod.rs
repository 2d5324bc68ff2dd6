//! What operators and periodic work need: the overview, timelines, leases and gauges.

pub(in crate::db) mod gauges;
pub(in crate::db) mod leases;
pub(in crate::db) mod overview;
pub(in crate::db) mod timeline;
