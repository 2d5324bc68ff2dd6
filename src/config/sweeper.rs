//! `[sweeper]`: expiry of uploads, and removal of staged and abandoned objects.

use crate::domain::field::FieldPolicies;

use super::reader::section::{Report, Section};
use super::storage::Storage;

/// How much older than its upload's deadline a removed staged object is, in seconds: a PUT may be slow and a bucket unavailable.
const STAGING_GRACE_SECS: u32 = 3_600;
/// Added to the time of the longest copy and read for the least age of an abandoned seal attempt, in seconds.
const ATTEMPT_GRACE_SECS: u64 = 60;

/// `[sweeper]`.
#[derive(Debug, Clone)]
pub struct Sweeper {
    /// Whether this broker sweeps.
    pub enabled: bool,
    /// The interval of queries for work, in seconds.
    pub interval_secs: u32,
    /// The interval of listing the bucket, in seconds.
    pub bucket_interval_secs: u32,
    /// The most entries in a batch.
    pub batch: u32,
    /// The age from which staged objects are removed, in seconds.
    pub staging_max_age_secs: u32,
    /// The age from which an open seal attempt is abandoned, in seconds.
    pub attempt_stale_secs: u32,
    /// How much longer than its interval a broker holds a lease, in seconds.
    pub lease_secs: u32,
}

impl Sweeper {
    pub(super) fn read(section: &mut Section) -> Option<Sweeper> {
        let enabled = section.boolean("enabled");
        let interval_secs = section.integer("interval_secs", 1..=3_600);
        let bucket_interval_secs = section.integer("bucket_interval_secs", 1..=86_400);
        let batch = section.integer("batch", 1..=1_000);
        let staging_max_age_secs = section.integer("staging_max_age_secs", 3_600..=31_536_000);
        let attempt_stale_secs = section.integer("attempt_stale_secs", 60..=2_592_000);
        let lease_secs = section.integer("lease_secs", 1..=3_600);
        Some(Sweeper {
            enabled: enabled?,
            interval_secs: interval_secs?,
            bucket_interval_secs: bucket_interval_secs?,
            batch: batch?,
            staging_max_age_secs: staging_max_age_secs?,
            attempt_stale_secs: attempt_stale_secs?,
            lease_secs: lease_secs?,
        })
    }

    /// Refuses ages at which a client may still confirm an upload, or a copy may still run.
    pub(super) fn refuse_early(
        &self,
        fields: &FieldPolicies,
        storage: &Storage,
        report: &mut Report,
    ) {
        let longest = fields.iter().max_by_key(|field| field.upload_lifetime_secs);
        if let Some(field) = longest {
            let least = field
                .upload_lifetime_secs
                .saturating_add(STAGING_GRACE_SECS);
            if self.staging_max_age_secs < least {
                let name = &field.name;
                let problem = format!(
                    "must be at least {least}: {STAGING_GRACE_SECS} more than the upload_lifetime_secs of {name}, whose staged objects can be confirmed until then"
                );
                report.refuse("sweeper.staging_max_age_secs", problem);
            }
        }
        let largest = fields.iter().map(|field| field.max_size).max().unwrap_or(0);
        let moving_secs = largest / storage.copy_bytes_per_sec.max(1);
        // The copy, and the read where the broker proves a checksum by it.
        let least = 2 * (storage.copy_base_ms / 1_000 + moving_secs) + ATTEMPT_GRACE_SECS;
        if u64::from(self.attempt_stale_secs) < least {
            let problem = format!(
                "must be at least {least}, because copying and reading the largest object may take nearly as long"
            );
            report.refuse("sweeper.attempt_stale_secs", problem);
        }
    }
}
