//! Pure decisions: may this be uploaded ([`admission`]), is this what was declared ([`verification`]).
//!
//! Only this module builds an `Admitted` and a `Verified` ([`evidence`]): an upload that was not admitted can't be signed for, and an
//! object that was not verified can't be recorded.

pub mod admission;
pub mod evidence;
pub mod verification;

#[cfg(test)]
mod tests;
