//! `bytepass openapi`: prints the OpenAPI document that the code generates.

use super::outcome::{self, Failure};

pub(super) fn run() -> Result<(), Failure> {
    let document = crate::http::openapi().to_pretty_json().map_err(|error| {
        Failure::Runtime(format!("the OpenAPI document can't be written: {error}"))
    })?;
    outcome::print(&(document + "\n"))
}
