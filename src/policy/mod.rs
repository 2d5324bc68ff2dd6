//! Pure decisions: may this be uploaded ([`admission`]), is this what was declared ([`verification`]).
//!
//! Only this room builds the evidence types ([`evidence`]): what it never admitted can't be signed for, and what it never
//! verified can't be recorded.

pub mod admission;
pub mod evidence;
pub mod verification;

#[cfg(test)]
mod tests;
