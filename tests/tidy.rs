//! Rules on the source tree: which modules and crates a module may import, and which files lie where. Each rule is also tested with
//! source that breaks it.

use std::fmt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/layout.rs"]
mod layout;
#[path = "tidy/paths.rs"]
mod paths;

/// A broken rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Relative to the package.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// The violation.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}: {}",
            self.file, self.line, self.rule, self.text
        )
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Path and text of every Rust file below this folder.
fn sources(folder: &str) -> Vec<(String, String)> {
    let files = WalkDir::new(root().join(folder))
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.expect("the package can be read"))
        .filter(|entry| entry.path().extension().is_some_and(|it| it == "rs"))
        .map(|entry| {
            let path = entry.path().strip_prefix(root()).expect("below the root");
            let name = path.to_string_lossy().replace('\\', "/");
            let text = std::fs::read_to_string(entry.path()).expect("UTF-8");
            (name, text)
        })
        .collect::<Vec<_>>();
    assert!(!files.is_empty(), "no Rust file below {folder}");
    files
}

#[track_caller]
fn assert_tidy(findings: Vec<Finding>) {
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

fn each(folder: &str, check: fn(&str, &str) -> Vec<Finding>) -> Vec<Finding> {
    let files = sources(folder);
    files
        .iter()
        .flat_map(|(name, text)| check(name, text))
        .collect()
}

#[test]
fn modules_import_only_what_the_table_allows() {
    assert_tidy(each("src", imports::check));
}

#[test]
fn migrations_are_the_same_for_both_databases() {
    assert_tidy(layout::check_migrations(&root()));
}

#[test]
fn top_level_holds_only_known_entries() {
    assert_tidy(layout::check_top_level(&root()));
}

/// The rules and lines of the findings in a file with this text.
fn findings_in(file: &str, source: &str) -> Vec<(&'static str, usize)> {
    let found = imports::check(file, source);
    found.iter().map(|it| (it.rule, it.line)).collect()
}

#[test]
fn forbidden_import_in_any_spelling_is_found() {
    let broken = [
        ("src/http/a.rs", "use crate::db;"),
        ("src/http/a.rs", "use crate::{domain, storage::Storage};"),
        ("src/http/a.rs", "use crate::{domain::{self}, db::{a, b}};"),
        ("src/http/a.rs", "fn f() { crate::db::x(); }"),
        ("src/http/a.rs", "fn f() { let _ = vec![crate::db::X]; }"),
        (
            "src/http/a.rs",
            "macro_rules! m { () => { $crate::db::x() } }",
        ),
        (
            "src/http/a.rs",
            "#[serde(with = \"x\")] #[derive(crate::db::D)] struct S;",
        ),
        ("src/http/a.rs", "use crate::*;"),
        ("src/http/a.rs", "pub(in crate::db) fn f() {}"),
        ("src/http/a.rs", "use super::super::db;"),
        ("src/http/mod.rs", "use super::db::x;"),
        ("src/http/mod.rs", "mod tests { use super::super::db; }"),
        ("src/http/deep/mod.rs", "use super::super::db;"),
        ("src/http/a.rs", "#[cfg(test)] mod tests { use crate::db; }"),
        ("src/domain/a.rs", "use crate::policy::X;"),
        ("src/db/a.rs", "use crate::policy::admission;"),
        ("src/db/a.rs", "use crate::policy::{Verified, admission};"),
        ("src/db/a.rs", "use crate::app::App;"),
        ("src/workers/a.rs", "fn f(_: &crate::storage::Storage) {}"),
    ];
    for (file, source) in broken {
        assert!(
            findings_in(file, source).contains(&("imports", 1)),
            "{file}: {source}"
        );
    }
    assert_eq!(findings_in("src/garage/mod.rs", ""), [("modules", 1)]);
}

#[test]
fn allowed_import_is_accepted() {
    let sound = [
        (
            "src/http/a.rs",
            "use crate::{domain::field::FieldName, broker::Broker};",
        ),
        (
            "src/http/a.rs",
            "use crate::http::problem::Problem; use super::problem;",
        ),
        ("src/http/a.rs", "mod tests { use super::super::problem; }"),
        (
            "src/http/a.rs",
            "// crate::db\n/// crate::db\npub(crate) fn f() { \"crate::db\"; }",
        ),
        ("src/http/mod.rs", "pub(super) mod a; use self::a::b;"),
        (
            "src/db/a.rs",
            "use crate::policy::{Verified, Admitted}; use crate::policy::evidence::Observed;",
        ),
        ("src/broker/a.rs", "use crate::policy::admission;"),
        (
            "src/app/mod.rs",
            "use crate::db; use aws_config::x; use actix_web::App;",
        ),
        ("src/lib.rs", "pub mod db;"),
    ];
    for (file, source) in sound {
        assert_eq!(findings_in(file, source), [], "{file}: {source}");
    }
}

#[test]
fn crate_outside_its_owner_is_found() {
    let broken = [
        ("src/http/a.rs", "use diesel::prelude::*;"),
        (
            "src/broker/a.rs",
            "#[derive(Debug, diesel::Queryable)] struct S;",
        ),
        ("src/broker/a.rs", "use ::reqwest as r;"),
        ("src/broker/a.rs", "use {bytes::Bytes, reqwest};"),
        (
            "src/domain/a.rs",
            "fn f() -> actix_web::HttpResponse { todo!() }",
        ),
        ("src/broker/a.rs", "use aws_sdk_s3::Client;"),
        ("src/broker/a.rs", "use bytepass_dev_bucket::DevBucket;"),
        (
            "src/storage/a.rs",
            "#[cfg(test)] use s3s::S3; use s3s::dto;",
        ),
    ];
    for (file, source) in broken {
        assert_eq!(
            findings_in(file, source),
            [("crates", 1)],
            "{file}: {source}"
        );
    }
    let test = "#[cfg(test)]\nmod tests { use aws_sdk_s3::Client; }\n";
    assert_eq!(findings_in("src/broker/a.rs", test), []);
    assert_eq!(
        findings_in("src/broker/tests.rs", "use aws_sdk_s3::Client;"),
        []
    );
    let after = format!("{test}use aws_sdk_s3::Client;");
    assert_eq!(findings_in("src/broker/a.rs", &after), [("crates", 3)]);
    assert_eq!(
        findings_in("src/storage/a.rs", "fn f(toml: Toml) { toml.diesel; }"),
        []
    );
}

#[test]
fn clock_and_randomness_in_a_pure_module_are_found() {
    let broken = [
        "fn f() { chrono::Utc::now(); }",
        "fn f() { Utc::now(); }",
        "fn f() { std::time::SystemTime::now(); }",
        "fn f() { let _ = Some(()).map(|()| Instant::now()); }",
        "use rand::Rng;",
        "fn f() { Uuid::now_v7(); }",
        "fn f() { std::fs::read(\"x\"); }",
    ];
    for source in broken {
        assert_eq!(
            findings_in("src/policy/a.rs", source),
            [("purity", 1)],
            "{source}"
        );
        assert_eq!(
            findings_in("src/domain/a.rs", source),
            [("purity", 1)],
            "{source}"
        );
        assert_eq!(findings_in("src/broker/a.rs", source), [], "{source}");
        assert_eq!(findings_in("src/domain/tests.rs", source), [], "{source}");
    }
}

#[test]
fn unequal_migrations_and_unknown_files_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str| {
        let path: PathBuf = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, "").expect("a file");
    };
    for file in ["1_a/up.sql", "1_a/down.sql"] {
        write(&format!("migrations/sqlite/{file}"));
        write(&format!("migrations/postgres/{file}"));
    }
    let root: &Path = folder.path();
    assert_eq!(
        (
            layout::check_migrations(root),
            layout::check_top_level(root)
        ),
        (vec![], vec![])
    );
    write("migrations/sqlite/2_b/up.sql");
    write("notes.txt");
    assert_eq!(layout::check_migrations(root).len(), 2);
    assert_eq!(layout::check_top_level(root)[0].file, "notes.txt");
}
