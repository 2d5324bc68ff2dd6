//! Identifiers: a prefix and 26 characters of lower-case Crockford base32 that encode a UUIDv7, so that ids sort by time.

use std::fmt;

use chrono::{DateTime, Utc};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const DIGITS: usize = 26;
/// The first digits hold the time: 48 bits of milliseconds, after the two unused bits of the 130 in 26 digits.
const TIME_DIGITS: usize = 10;

/// A text that is not an id. Requests with it get the same answer as with an id that doesn't exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a Bytepass id")]
pub struct InvalidId;

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u128);

        impl $name {
            /// A new id from the time and ten random bytes.
            pub fn new(now: DateTime<Utc>, random: &[u8; 10]) -> $name {
                let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default();
                let uuid = uuid::Builder::from_unix_timestamp_millis(millis, random).into_uuid();
                $name(uuid.as_u128())
            }

            /// Parses the canonical form only, so that an id has one spelling in caches, logs and rows.
            pub fn parse(text: &str) -> Result<$name, InvalidId> {
                let digits = text.strip_prefix($prefix).ok_or(InvalidId)?;
                decode(digits).map($name).ok_or(InvalidId)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                write_digits(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id_type! {
    /// An upload's id, `upl_` and 26 characters.
    UploadId, "upl_"
}

id_type! {
    /// An event's id, `evt_` and 26 characters: the stable id under which it is delivered.
    EventId, "evt_"
}

id_type! {
    /// A grant's id, `grt_` and 26 characters.
    GrantId, "grt_"
}

impl UploadId {
    /// An id that no upload has, because a UUIDv7 is never zero. A malformed id in a request is replaced by it, so that it takes the
    /// same code path and gets the same answer as an id that doesn't exist.
    pub const NONE: UploadId = UploadId(0);
}

/// Crockford base32 of 128 bits, most significant digit first.
fn write_digits(value: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let digits: [u8; DIGITS] = std::array::from_fn(|place| {
        ALPHABET[((value >> (5 * (DIGITS - 1 - place))) & 31) as usize]
    });
    f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
}

fn decode(digits: &str) -> Option<u128> {
    // 26 digits hold 130 bits: a first digit above 7 would overflow and give an id a second spelling.
    if digits.len() != DIGITS || digits.as_bytes()[0] > b'7' {
        return None;
    }
    digits.bytes().try_fold(0u128, |value, digit| {
        let index = ALPHABET.iter().position(|&known| known == digit)?;
        Some((value << 5) | index as u128)
    })
}

/// The time of an id like `upl_…` or `evt_…`: the first ten digits after its prefix hold the milliseconds. Missing and invalid
/// digits count as the lowest one.
pub fn time_of_id(id: &str) -> DateTime<Utc> {
    let digits = id.split_once('_').map_or(id, |(_, digits)| digits);
    let digits = digits.bytes().chain(std::iter::repeat(ALPHABET[0]));
    let millis = digits.take(TIME_DIGITS).fold(0_i64, |millis, digit| {
        let index = ALPHABET.iter().position(|&known| known == digit);
        (millis << 5) | index.unwrap_or_default() as i64
    });
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

/// 32 characters of lower-case Crockford base32: the unguessable part of a key.
pub fn random_text(random: &[u8; 20]) -> String {
    let mut text = String::with_capacity(32);
    for chunk in random.chunks(5) {
        let bits = chunk
            .iter()
            .fold(0u64, |bits, &byte| (bits << 8) | u64::from(byte));
        text.extend(
            (0..8)
                .rev()
                .map(|d| char::from(ALPHABET[((bits >> (5 * d)) & 31) as usize])),
        );
    }
    text
}
