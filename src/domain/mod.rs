//! The trade's words. No I/O, no clock, no imports from other rooms: `now` and randomness are arguments.

pub mod field;
pub mod principal;
