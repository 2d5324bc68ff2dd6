//! `[limits]`: limits of all requests, of an owner and of an address.

use super::reader::section::Section;

/// The largest quota. It fits into a database column with room to add.
const MOST: u64 = 1 << 62;
/// The largest rate and burst.
const MOST_REQUESTS: u32 = 1_000_000;

/// `[limits]`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most confirms at the same time. Further ones wait, or are answered 503.
    pub confirms_in_flight: usize,
    /// The default number of uploads on a page.
    pub page_default: u32,
    /// The most uploads on a page.
    pub page_max: u32,
    /// The lifetime of a presigned URL to read a private object, in seconds.
    pub download_lifetime_secs: u32,
    /// The most pending uploads of an owner; 0 means no limit.
    pub pending_uploads_per_owner: u64,
    /// The most bytes that its pending uploads declare together; 0 means no limit.
    pub pending_bytes_per_owner: u64,
    /// Sustained requests per second of an owner; 0 means no limit.
    pub requests_per_owner_per_sec: u32,
    /// Its burst.
    pub requests_per_owner_burst: u32,
    /// Sustained requests per second of an address; 0 means no limit.
    pub requests_per_address_per_sec: u32,
    /// Its burst.
    pub requests_per_address_burst: u32,
    /// The most open connections of an address; 0 means no limit.
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
