//! What lies where: the package's top level, and the two migration folders that must not drift apart.

use std::collections::BTreeSet;
use std::path::Path;

use super::Finding;

/// The entries that HOUSE.md names, and those that Cargo, Git and the tools demand.
const TOP_LEVEL: [&str; 22] = [
    ".ci",
    ".dockerignore",
    ".git",
    ".github",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "benches",
    "clients",
    "clippy.toml",
    "crates",
    "deploy",
    "diesel.toml",
    "migrations",
    "src",
    "tests",
];
/// What running the program or Cargo here leaves, and `.gitignore` keeps out.
const LEFT_BY_USE: [&str; 2] = ["target", "bytepass-data"];

/// Entries of the top level that nobody has agreed on.
pub fn check_top_level(root: &Path) -> Vec<Finding> {
    names(root)
        .into_iter()
        .filter(|name| !TOP_LEVEL.contains(&name.as_str()) && !LEFT_BY_USE.contains(&name.as_str()))
        .map(|name| finding(&name, "top level", "HOUSE.md does not name it".to_owned()))
        .collect()
}

/// Migrations that one database has and the other lacks, or that miss `up.sql` or `down.sql`.
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
