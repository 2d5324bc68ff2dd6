//! What operators read (overview, statistics, timelines, probes) and the manual actions they take.

pub mod manual_actions;
pub mod overview;
pub mod probes;
pub mod stats;
pub mod timeline;
