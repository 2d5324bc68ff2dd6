//! What operators and periodic work need: the overview, timelines, leases, gauges and the check of the counters.

pub(in crate::db) mod counter_check;
pub(in crate::db) mod gauges;
pub(in crate::db) mod leases;
pub(in crate::db) mod overview;
pub(in crate::db) mod timeline;
