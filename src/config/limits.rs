//! `[limits]`: how much the broker takes, from all and from each.

use super::section::Section;

/// The most of anything that is counted: what a database's column holds, and some.
const MOST: u64 = 1 << 62;
/// The most requests that a limit may allow at once, or a second.
const MOST_REQUESTS: u32 = 1_000_000;

/// `[limits]`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many uploads are confirmed at the same time; more wait for a place, or are told to come back.
    pub confirms_in_flight: usize,
    /// How many uploads a page has where the client doesn't say.
    pub page_default: u32,
    /// How many uploads a page may have.
    pub page_max: u32,
    /// How long a presigned URL to read a private object lives, in seconds.
    pub download_lifetime_secs: u32,
    /// How many pending uploads an owner may have; 0: any number.
    pub pending_uploads_per_owner: u64,
    /// How much its pending uploads may declare together, in bytes; 0: any amount.
    pub pending_bytes_per_owner: u64,
    /// How many requests an owner may send a second for ever; 0: any number.
    pub requests_per_owner_per_sec: u32,
    /// How many it may send at once.
    pub requests_per_owner_burst: u32,
    /// How many requests an address may send a second for ever; 0: any number.
    pub requests_per_address_per_sec: u32,
    /// How many it may send at once.
    pub requests_per_address_burst: u32,
    /// How many connections an address may have open; 0: any number.
    pub connections_per_address: u32,
}

impl Limits {
    pub(super) fn read(section: &mut Section) -> Option<Limits> {
        let confirms_in_flight = section.integer("confirms_in_flight", 1..=10_000);
        let page_default = section.integer("page_default", 1..=1000);
        let page_max = section.integer("page_max", 1..=1000);
        let download_lifetime_secs = section.integer("download_lifetime_secs", 1..=604_800);
        let pending_uploads_per_owner = section.integer("pending_uploads_per_owner", 0..=MOST);
        let pending_bytes_per_owner = section.integer("pending_bytes_per_owner", 0..=MOST);
        let mut rate = |key| section.integer(key, 0..=MOST_REQUESTS);
        let requests_per_owner_per_sec = rate("requests_per_owner_per_sec");
        let requests_per_owner_burst = rate("requests_per_owner_burst");
        let requests_per_address_per_sec = rate("requests_per_address_per_sec");
        let requests_per_address_burst = rate("requests_per_address_burst");
        let connections_per_address = section.integer("connections_per_address", 0..=100_000);
        if page_default > page_max && page_max.is_some() {
            section.refuse("page_default", "must not be greater than limits.page_max");
        }
        Some(Limits {
            confirms_in_flight: confirms_in_flight?,
            page_default: page_default?,
            page_max: page_max?,
            download_lifetime_secs: download_lifetime_secs?,
            pending_uploads_per_owner: pending_uploads_per_owner?,
            pending_bytes_per_owner: pending_bytes_per_owner?,
            requests_per_owner_per_sec: requests_per_owner_per_sec?,
            requests_per_owner_burst: requests_per_owner_burst?,
            requests_per_address_per_sec: requests_per_address_per_sec?,
            requests_per_address_burst: requests_per_address_burst?,
            connections_per_address: connections_per_address?,
        })
    }
}
