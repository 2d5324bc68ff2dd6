//! What operators read and do: the overview, gauges, an upload's timeline, manual actions.

mod gauges;
pub(super) mod manual_actions;
pub(super) mod overview;
mod timeline;
