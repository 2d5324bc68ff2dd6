//! Pages that no external database or bucket can change.

mod demo;
