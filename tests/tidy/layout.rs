//! Which files lie at the top level, and that both databases have the same migrations.

use std::collections::BTreeSet;
use std::path::Path;

use super::Finding;

/// The allowed entries.
const TOP_LEVEL: [&str; 25] = [
    ".ci",
    ".dockerignore",
    ".editorconfig",
    ".git",
    ".github",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "benches",
    "clients",
    "clippy.toml",
    "crates",
    "deny.toml",
    "deploy",
    "diesel.toml",
    "docs",
    "migrations",
    "rust-toolchain.toml",
    "src",
    "tests",
];
/// Made by cargo or by the program, and ignored by Git.
const IGNORED: [&str; 2] = ["target", "bytepass-data"];

/// Unknown entries at the top level.
pub fn check_top_level(root: &Path) -> Vec<Finding> {
    names(root)
        .into_iter()
        .filter(|name| !TOP_LEVEL.contains(&name.as_str()) && !IGNORED.contains(&name.as_str()))
        .map(|name| {
            finding(
                &name,
                "top level",
                "unknown entry: move it, or add it to TOP_LEVEL".to_owned(),
            )
        })
        .collect()
}

/// Migrations that only one database has, or that lack `up.sql` or `down.sql`.
pub fn check_migrations(root: &Path) -> Vec<Finding> {
    let folders = ["sqlite", "postgres"].map(|dialect| root.join("migrations").join(dialect));
    let [sqlite, postgres] = folders.each_ref().map(|folder| names(folder));
    let mut found: Vec<Finding> = sqlite
        .symmetric_difference(&postgres)
        .map(|name| {
            finding(
                &format!("migrations/*/{name}"),
                "migrations",
                "only one database has it".to_owned(),
            )
        })
        .collect();
    for folder in &folders {
        for name in names(folder) {
            let files = names(&folder.join(&name));
            if files != BTreeSet::from(["down.sql".to_owned(), "up.sql".to_owned()]) {
                let path = folder.join(&name);
                let path = path
                    .strip_prefix(root)
                    .unwrap_or(&path)
                    .display()
                    .to_string();
                found.push(finding(
                    &path,
                    "migrations",
                    format!("holds {files:?}, not up.sql and down.sql"),
                ));
            }
        }
    }
    found
}

fn finding(file: &str, rule: &'static str, text: String) -> Finding {
    Finding {
        file: file.to_owned(),
        line: 1,
        rule,
        text,
    }
}

/// The names in a folder; none if there is no such folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
