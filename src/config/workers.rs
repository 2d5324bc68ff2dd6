//! `[workers]`: the intervals of periodic work.

use super::reader::section::Section;

/// `[workers]`.
#[derive(Debug, Clone)]
pub struct Workers {
    /// The interval of removing objects whose grace has ended, in seconds.
    pub removal_interval_secs: u32,
    /// The interval of deleting expired idempotency keys and grants, in seconds.
    pub prune_interval_secs: u32,
}

impl Workers {
    pub(super) fn read(section: &mut Section) -> Option<Workers> {
        let removal_interval_secs = section.integer("removal_interval_secs", 1..=86_400);
        let prune_interval_secs = section.integer("prune_interval_secs", 1..=86_400);
        Some(Workers {
            removal_interval_secs: removal_interval_secs?,
            prune_interval_secs: prune_interval_secs?,
        })
    }
}
