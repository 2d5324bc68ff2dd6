//! `bytepass check-config`: prints every setting with its value and its source, or all errors.

use std::fmt::Write as _;

use crate::app::App;
use crate::config::Explained;

use super::outcome::{self, Failure};
use super::{ConfigArgs, serve};

pub(super) fn run(args: ConfigArgs) -> Result<(), Failure> {
    let config = serve::load(&args)?;
    outcome::print(&table(config.explain()))?;
    App::check(&config).map_err(serve::not_started)?;
    // Printed after the table: the configuration is valid, but incomplete for `serve`.
    config
        .require_for_serve()
        .map_err(|errors| Failure::Usage(format!("`serve` needs more:\n{errors}")))
}

fn table(rows: &[Explained]) -> String {
    let left = |row: &Explained| format!("{} = {}", row.key, row.value);
    let width = rows
        .iter()
        .map(|row| left(row).chars().count())
        .filter(|&len| len <= 72)
        .max()
        .unwrap_or(0);
    rows.iter().fold(String::new(), |mut text, row| {
        let _ = writeln!(text, "{:width$}  # {}", left(row), row.source);
        text
    })
}
