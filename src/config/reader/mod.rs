//! Merges the sources into one tree and reads its tables key by key; the sections only say which keys they have.

pub(in crate::config) mod error;
pub(in crate::config) mod layers;
pub(in crate::config) mod section;
pub(in crate::config) mod sources;
pub(in crate::config) mod urls;
pub(in crate::config) mod value;
