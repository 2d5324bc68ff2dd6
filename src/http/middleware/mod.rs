//! What happens around every request.

pub mod answer;
pub mod cors;
pub mod limits;
pub mod panics;

pub use answer::answer;
pub use panics::catch_panics;
