//! The domain types. No I/O, no clock, no imports from other modules: `now` and randomness are arguments.

pub mod attachment;
pub mod checksum;
pub mod event;
pub mod field;
pub mod file_name;
pub mod grant;
pub mod ids;
pub mod media_type;
pub mod object_key;
pub mod principal;
pub mod upload;
pub mod upload_view;

#[cfg(test)]
mod tests;
