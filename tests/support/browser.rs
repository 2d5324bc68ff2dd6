//! Runs a script of tests/node in headless Chromium, by Playwright.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::command::run_within;
use super::needs;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The time limit of a script, in seconds.
const LIMIT_SECS: u64 = 300;

/// Runs `tests/node/<script>.mjs` with this input; returns its output. A failed check of the script fails the test. `None` without
/// Playwright, and a printed line says so.
pub fn play(script: &str, told: &Value) -> Option<Value> {
    let modules = needs("BYTEPASS_TEST_NODE_MODULES")?;
    // A module finds its packages beside itself, and the checkout shall hold none.
    let folder = tempfile::tempdir().expect("a folder");
    let beside = |name: &str| folder.path().join(name);
    let name = format!("{script}.mjs");
    for file in std::fs::read_dir(Path::new(ROOT).join("tests/node")).expect("the scripts") {
        let file = file.expect("a file");
        let name = file.file_name().into_string().expect("a name");
        std::fs::copy(file.path(), beside(&name)).expect("a copy");
    }
    std::os::unix::fs::symlink(modules, beside("node_modules")).expect("a link");
    std::fs::write(beside("told.json"), told.to_string()).expect("a file");
    // Screenshots are kept only when the variable names a folder.
    let pictures = std::env::var_os("BYTEPASS_TEST_SCREENSHOTS");
    let pictures = pictures.map_or_else(|| beside("pictures"), PathBuf::from);
    std::fs::create_dir_all(&pictures).expect("a folder");
    let mut command = Command::new("node");
    command
        .arg(beside(&name))
        .arg(beside("told.json"))
        .arg(pictures)
        .current_dir(folder.path());
    let played = run_within(&mut command, LIMIT_SECS);
    assert_eq!(played.code, 0, "{}\n{}", played.stdout, played.stderr);
    Some(serde_json::from_str(&played.stdout).expect("JSON at the end"))
}
