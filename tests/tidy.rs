//! The house rules as a test: who may name whom, how long a file and a function may be, what lies where. Each rule
//! is also shown a bad example, so that it is known to bite.

use std::fmt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/layout.rs"]
mod layout;
#[path = "tidy/lengths.rs"]
mod lengths;
#[path = "tidy/paths.rs"]
mod paths;

/// One broken rule at one place.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// The path below the package.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// What is wrong.
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

/// Every Rust file below this folder: its path below the package and its text.
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
fn rooms_name_only_the_rooms_and_crates_they_may() {
    assert_tidy(each("src", imports::check));
}

#[test]
fn no_file_is_longer_than_300_lines() {
    assert_tidy(each("src", lengths::check_file));
    assert_tidy(each("tests", lengths::check_file));
}

#[test]
fn no_function_is_longer_than_70_lines() {
    assert_tidy(each("src", lengths::check_functions));
}

#[test]
fn both_databases_have_the_same_migrations() {
    assert_tidy(layout::check_migrations(&root()));
}

#[test]
fn the_top_level_holds_what_the_house_names() {
    assert_tidy(layout::check_top_level(&root()));
}

/// The findings' rules and lines for a file with this text.
fn bites(file: &str, source: &str) -> Vec<(&'static str, usize)> {
    let found = imports::check(file, source);
    found.iter().map(|it| (it.rule, it.line)).collect()
}

#[test]
fn a_forbidden_room_is_found_however_it_is_named() {
    let broken = [
        ("src/http/a.rs", "use crate::db;"),
        ("src/http/a.rs", "use crate::{domain, store::Store};"),
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
        ("src/workers/a.rs", "fn f(_: &crate::store::Store) {}"),
    ];
    for (file, source) in broken {
        assert!(
            bites(file, source).contains(&("imports", 1)),
            "{file}: {source}"
        );
    }
    assert_eq!(bites("src/garage/mod.rs", ""), [("rooms", 1)]);
}

#[test]
fn an_allowed_room_is_left_alone() {
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
            "src/app.rs",
            "use crate::db; use aws_config::x; use actix_web::App;",
        ),
        ("src/lib.rs", "pub mod db;"),
    ];
    for (file, source) in sound {
        assert_eq!(bites(file, source), [], "{file}: {source}");
    }
}

#[test]
fn a_crate_is_named_only_by_the_room_that_owns_it() {
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
        ("src/store/a.rs", "#[cfg(test)] use s3s::S3; use s3s::dto;"),
    ];
    for (file, source) in broken {
        assert_eq!(bites(file, source), [("crates", 1)], "{file}: {source}");
    }
    let test = "#[cfg(test)]\nmod tests { use aws_sdk_s3::Client; }\n";
    assert_eq!(bites("src/broker/a.rs", test), []);
    assert_eq!(bites("src/broker/tests.rs", "use aws_sdk_s3::Client;"), []);
    let after = format!("{test}use aws_sdk_s3::Client;");
    assert_eq!(bites("src/broker/a.rs", &after), [("crates", 3)]);
    assert_eq!(
        bites("src/store/a.rs", "fn f(toml: Toml) { toml.diesel; }"),
        []
    );
}

#[test]
fn the_deciding_rooms_read_no_clock_and_draw_no_lot() {
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
            bites("src/policy/a.rs", source),
            [("purity", 1)],
            "{source}"
        );
        assert_eq!(
            bites("src/domain/a.rs", source),
            [("purity", 1)],
            "{source}"
        );
        assert_eq!(bites("src/broker/a.rs", source), [], "{source}");
        assert_eq!(bites("src/domain/tests.rs", source), [], "{source}");
    }
}

#[test]
fn length_is_counted_from_the_name_to_the_last_brace() {
    let function = |lines: usize| {
        format!(
            "struct S;\nimpl S {{\n/// Doc.\nfn f() {{\n{}}}\n}}",
            "();\n".repeat(lines - 2)
        )
    };
    assert_eq!(lengths::check_functions("a.rs", &function(70)), []);
    let found = lengths::check_functions("a.rs", &function(71));
    assert_eq!(
        (found.len(), found[0].line, found[0].rule),
        (1, 4, "function length")
    );
    assert_eq!(lengths::check_file("a.rs", &"\n".repeat(300)), []);
    assert_eq!(lengths::check_file("a.rs", &"\n".repeat(301)).len(), 1);
}

#[test]
fn drifted_migrations_and_strange_files_are_found() {
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
