//! Which modules a module may import, which crates it owns, and which modules are pure.

use super::Finding;
use super::paths::{Named, named};

/// The names that `policy!` allows.
const EVIDENCE: [&str; 6] = [
    "evidence", "Declared", "Admitted", "Issued", "Observed", "Verified",
];

/// `(module, modules it may import)`; `policy!` stands for the evidence types of `policy`, `*` for all modules.
const MODULES: [(&str, &[&str]); 15] = [
    ("domain", &[]),
    ("telemetry", &[]),
    ("policy", &["domain"]),
    ("config", &["domain", "policy"]),
    ("auth", &["domain", "outbound", "config", "telemetry"]),
    ("storage", &["domain", "policy!", "config", "telemetry"]),
    ("db", &["domain", "policy!", "config", "telemetry"]),
    ("outbound", &["config", "telemetry"]),
    (
        "webhooks",
        &["domain", "db", "outbound", "config", "telemetry"],
    ),
    (
        "broker",
        &["domain", "policy", "storage", "db", "config", "telemetry"],
    ),
    ("http", &["domain", "broker", "auth", "config", "telemetry"]),
    (
        "workers",
        &["domain", "broker", "webhooks", "config", "telemetry"],
    ),
    ("app", &["*"]),
    ("cli", &["*"]),
    ("main", &["*"]),
];

/// `(crate, or a prefix of crates with *, modules that may use it)`. Unit tests may use any crate, for the other side of a connection.
const CRATES: [(&str, &[&str]); 27] = [
    ("diesel", &["db"]),
    ("diesel_migrations", &["db"]),
    ("governor", &["http"]),
    ("r2d2", &["db"]),
    ("libsqlite3_sys", &["db"]),
    ("openssl_sys", &["db"]),
    ("pq_sys", &["db"]),
    ("aws_*", &["storage", "app"]),
    ("actix_*", &["http", "app", "main"]),
    ("tracing_actix_web", &["http", "app"]),
    ("utoipa", &["domain", "http"]),
    ("jsonwebtoken", &["auth"]),
    ("x509_cert", &["auth"]),
    ("reqwest", &["outbound"]),
    ("bytepass_dev_bucket", &["app", "cli"]),
    ("s3s", &[]),
    ("toml", &["config", "cli"]),
    ("clap", &["config", "cli", "main"]),
    ("indicatif", &["cli"]),
    ("standardwebhooks", &["webhooks"]),
    ("tracing_subscriber", &["telemetry"]),
    ("prometheus", &["telemetry"]),
    ("opentelemetry*", &["telemetry"]),
    ("tracing_opentelemetry", &["telemetry"]),
    ("rusqlite", &[]),
    ("sqlx", &[]),
    ("figment", &[]),
];

/// Modules without I/O, clock and randomness. Their unit tests may use all three.
const PURE: [&str; 2] = ["domain", "policy"];
/// Path endings that read a clock or draw a random number.
const IMPURE_CALLS: [&str; 8] = [
    "Utc::now",
    "Local::now",
    "SystemTime::now",
    "Instant::now",
    "Uuid::now_v7",
    "Uuid::new_v4",
    "Uuid::now_v6",
    "Uuid::now_v1",
];
/// Path beginnings that do I/O or draw a random number.
const IMPURE_ROOTS: [&str; 7] = [
    "rand",
    "tokio",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "ring::rand",
];

/// Everything in this file that the tables forbid. `file` is relative to the package, `src/db/mod.rs`.
pub fn check(file: &str, source: &str) -> Vec<Finding> {
    let (module, depth) = module_of(file);
    let finding = |line, rule, text: String| Finding {
        file: file.to_owned(),
        line,
        rule,
        text,
    };
    let known = module == "lib" || MODULES.iter().any(|it| it.0 == module);
    if !known {
        return vec![finding(
            1,
            "modules",
            format!("`{module}` is not in the table of modules"),
        )];
    }
    let paths = match named(source, depth) {
        Ok(paths) => paths,
        Err(error) => return vec![finding(1, "syntax", error)],
    };
    let test_file = file.contains("/tests/") || file.ends_with("tests.rs");
    let mut found = Vec::new();
    for path in paths {
        let text = path.segments.join("::");
        let in_test = test_file || path.in_test;
        if !may_import(&module, &path, in_test) {
            found.push(finding(
                path.line,
                "imports",
                format!("`{module}` may not import `{text}`"),
            ));
        }
        if in_test {
            continue;
        }
        if let Some(owners) = foreign_crate(&module, &path) {
            let text = format!("`{module}` uses `{text}`, which belongs to {owners:?}");
            found.push(finding(path.line, "crates", text));
        }
        if PURE.contains(&module.as_str()) && is_impure(&text) {
            let text = format!("`{module}` is pure and uses `{text}`");
            found.push(finding(path.line, "purity", text));
        }
    }
    found
}

/// The top-level module of a file, and how many modules deep the file is.
fn module_of(file: &str) -> (String, usize) {
    let parts: Vec<&str> = file.trim_start_matches("src/").split('/').collect();
    let module = parts[0].trim_end_matches(".rs").to_owned();
    let is_root = matches!(file, "src/main.rs" | "src/lib.rs");
    let is_mod = parts.last().is_some_and(|it| *it == "mod.rs");
    let depth = if is_root {
        0
    } else {
        parts.len() - usize::from(is_mod)
    };
    (module, depth)
}

fn may_import(module: &str, path: &Named, in_test: bool) -> bool {
    let [root, other, rest @ ..] = path.segments.as_slice() else {
        return true;
    };
    if root != "crate" || other == module || module == "lib" {
        return true;
    }
    let allowed = MODULES
        .iter()
        .find(|it| it.0 == module)
        .map_or(&[][..], |it| it.1);
    let evidence = other == "policy"
        && allowed.contains(&"policy!")
        // Only decisions of `policy` make evidence, so unit tests must call them.
        && (in_test || rest.first().is_some_and(|it| EVIDENCE.contains(&it.as_str())));
    evidence || allowed.contains(&"*") || allowed.contains(&other.as_str())
}

/// The owners of the crate that the path begins with, unless this module is one of them.
fn foreign_crate(module: &str, path: &Named) -> Option<&'static [&'static str]> {
    let first = path.segments.first()?;
    let (_, owners) = CRATES
        .iter()
        .find(|(name, _)| match name.strip_suffix('*') {
            Some(prefix) => first.starts_with(prefix),
            None => first == name,
        })?;
    (!owners.contains(&module)).then_some(owners)
}

fn is_impure(path: &str) -> bool {
    let begins = |root: &&str| path == *root || path.starts_with(&format!("{root}::"));
    let ends = |call: &&str| path == *call || path.ends_with(&format!("::{call}"));
    IMPURE_ROOTS.iter().any(begins) || IMPURE_CALLS.iter().any(ends)
}
