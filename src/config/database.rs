//! `[database]`: the database and its limits.

use secrecy::SecretString;

use super::reader::section::Section;
use super::reader::urls::Authority;
use super::reader::value::Show;

/// `[database]`.
#[derive(Debug, Clone)]
pub struct Database {
    /// `sqlite://path`, `postgres://…` or `postgresql://…`. It may contain a password.
    pub url: SecretString,
    /// The number of connections.
    pub pool_size: u32,
    /// How long a read waits for a connection, in milliseconds.
    pub read_wait_ms: u64,
    /// How long a write waits for its commit, in milliseconds.
    pub write_wait_ms: u64,
    /// The most writes that wait for the writer.
    pub queue_len: usize,
    /// The most writes in one transaction.
    pub batch_max: usize,
    /// Whether `serve` migrates the schema.
    pub migrate_at_start: bool,
}

impl Database {
    /// A database with the default limits, for tests and benchmarks.
    pub fn with_url(url: SecretString) -> Database {
        Database {
            url,
            pool_size: 8,
            read_wait_ms: 2_000,
            write_wait_ms: 4_000,
            queue_len: 4_096,
            batch_max: 256,
            migrate_at_start: true,
        }
    }

    pub(super) fn read(section: &mut Section) -> Option<Database> {
        let url = section.text("url", Show::Url, database_url);
        let pool_size = section.integer("pool_size", 1..=256);
        let read_wait_ms = section.integer("read_wait_ms", 50..=60_000);
        let write_wait_ms = section.integer("write_wait_ms", 50..=60_000);
        let queue_len = section.integer("queue_len", 1..=65_536);
        let batch_max = section.integer("batch_max", 1..=256);
        let migrate_at_start = section.boolean("migrate_at_start");
        Some(Database {
            url: url?,
            pool_size: pool_size?,
            read_wait_ms: read_wait_ms?,
            write_wait_ms: write_wait_ms?,
            queue_len: queue_len?,
            batch_max: batch_max?,
            migrate_at_start: migrate_at_start?,
        })
    }
}

fn database_url(text: &str) -> Result<SecretString, String> {
    match text.split_once("://") {
        Some(("sqlite", path)) => sqlite_path(path)?,
        Some(("postgres" | "postgresql", _)) => postgres_host(text)?,
        _ => return Err(FORMS.to_owned()),
    }
    Ok(text.into())
}

const FORMS: &str =
    "must be sqlite://path/to/file, postgres://user:password@host/database or postgresql://…";

fn sqlite_path(path: &str) -> Result<(), String> {
    // Each connection to :memory: has a database of its own.
    if path.is_empty() || path.ends_with('/') || path.contains(":memory:") {
        return Err(FORMS.to_owned());
    }
    if path.contains(['?', '#', '\0']) {
        return Err("must be a path without '?' and '#', and without options".to_owned());
    }
    Ok(())
}

fn postgres_host(text: &str) -> Result<(), String> {
    let unencoded =
        "must have '@', '/', '?', '#' and '%' percent-encoded in the user name and the password";
    if text.contains('#') || text.contains(char::is_whitespace) || !percent_encoding_holds(text) {
        return Err(unencoded.to_owned());
    }
    let Some(authority) = Authority::of(text) else {
        return Err(format!("{FORMS}, with a host, and a port that is a number"));
    };
    if !authority.is_encoded {
        return Err(unencoded.to_owned());
    }
    let query = text.split_once('?').map_or("", |(_, query)| query);
    // The folder of a socket is given as an option.
    let elsewhere = |pair: &str| pair.starts_with("host=") || pair.starts_with("hostaddr=");
    if !authority.has_host && !query.split('&').any(elsewhere) {
        return Err(format!("{FORMS}, with a host"));
    }
    Ok(())
}

fn percent_encoding_holds(text: &str) -> bool {
    let is_hex = |pair: &[u8]| pair.iter().all(u8::is_ascii_hexdigit);
    let mut after = text.split('%').skip(1);
    after.all(|after| after.as_bytes().get(..2).is_some_and(is_hex))
}
