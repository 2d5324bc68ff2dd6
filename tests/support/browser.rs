//! A story that a browser tells: a script of tests/node, played by Playwright in the machine's Chromium, without a window.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::command::run_within;
use super::setting;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// How long a story may take, seconds.
const LIMIT_SECS: u64 = 300;

/// Plays `tests/node/<script>.mjs`, which is told `told`; gives what it says at the end. It fails the test if anything it looks at is
/// not as it should be. `None`, with a word on standard error, where there is no Playwright or no Chromium.
pub fn play(script: &str, told: &Value) -> Option<Value> {
    let Some(modules) = setting("BYTEPASS_TEST_NODE_MODULES") else {
        eprintln!(
            "skipped: BYTEPASS_TEST_NODE_MODULES names no folder with playwright-core (tests/run sets it)"
        );
        return None;
    };
    // A module finds its packages beside itself, and the checkout shall hold none.
    let folder = tempfile::tempdir().expect("a folder");
    let beside = |name: &str| folder.path().join(name);
    let name = format!("{script}.mjs");
    for file in std::fs::read_dir(Path::new(ROOT).join("tests/node")).expect("the stories") {
        let file = file.expect("a file");
        let name = file.file_name().into_string().expect("a name");
        std::fs::copy(file.path(), beside(&name)).expect("a copy");
    }
    std::os::unix::fs::symlink(modules, beside("node_modules")).expect("a link");
    std::fs::write(beside("told.json"), told.to_string()).expect("a file");
    // Pictures are kept only for who asks for them.
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
