//! Migrations, embedded in the binary: a folder for each database, with the same names in both.

use std::time::{Duration, Instant};

use diesel::backend::Backend;
use diesel::connection::SimpleConnection as _;
use diesel::dsl::sql;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::connection::{AnyConnection, Connector};
use super::error::{DbSetupError, is_contention};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// The advisory lock of a migration: "bytepass" in ASCII.
const LOCK: i64 = 0x6279_7465_7061_7373;

/// How long a migration waits for a table lock, in milliseconds: far less than a caller waits for the database.
const LOCK_LIMIT_MS: u32 = 300;
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// How long attempts are repeated.
const ATTEMPTS_LIMIT: Duration = Duration::from_secs(120);

/// Applies pending migrations and returns their number. Two brokers that start at the same time apply them one after the other.
pub(in crate::db) fn run(connector: &Connector) -> Result<usize, DbSetupError> {
    let done = match connector.connect()? {
        AnyConnection::Sqlite(mut conn) => run_on_sqlite(&mut conn),
        AnyConnection::Postgres(mut conn) => run_on_postgres(&mut conn, || POSTGRES),
    };
    done.map_err(|error| DbSetupError::Migrate(connector.location.redact(&error.to_string())))
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Runs them in short attempts, because other brokers use the tables: a statement that waits for a table lock delays all statements
/// after it, and a transaction that locks one of the tables may need another one.
pub(in crate::db) fn run_on_postgres<S: MigrationSource<Pg>>(
    conn: &mut PgConnection,
    migrations: impl Fn() -> S,
) -> Result<usize, Failed> {
    // Held by the session: it ends with the connection.
    conn.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})"))?;
    let pending = conn.pending_migrations(migrations())?.len();
    conn.batch_execute(&format!("SET lock_timeout = {LOCK_LIMIT_MS}"))?;
    let end = Instant::now() + ATTEMPTS_LIMIT;
    loop {
        match conn.run_pending_migrations(migrations()) {
            Ok(_) => return Ok(pending),
            // A boxed error of a private type of diesel_migrations: only its message can be read.
            Err(error) if is_contention(&error.to_string()) && Instant::now() < end => {
                tracing::info!("migration postponed: table is locked");
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Runs all of them under one write lock: the transactions of the harness begin too late to exclude a second broker.
fn run_on_sqlite(conn: &mut SqliteConnection) -> Result<usize, Failed> {
    conn.immediate_transaction(|conn| Ok(conn.run_pending_migrations(SQLITE)?.len()))
}

diesel::table! {
    /// Diesel's table of applied migrations.
    __diesel_schema_migrations (version) {
        version -> Text,
    }
}
use __diesel_schema_migrations as applied;

/// The number of embedded migrations that are not applied. It writes nothing; Diesel's own query would create its table.
pub(in crate::db) fn pending(connector: &Connector) -> Result<usize, DbSetupError> {
    let pending = match connector.connect()? {
        AnyConnection::Sqlite(mut conn) => applied_on_sqlite(&mut conn)
            .map_err(Failed::from)
            .and_then(|applied| lacking::<Sqlite>(&SQLITE, &applied)),
        AnyConnection::Postgres(mut conn) => applied_on_postgres(&mut conn)
            .map_err(Failed::from)
            .and_then(|applied| lacking::<Pg>(&POSTGRES, &applied)),
    };
    pending.map_err(|error| DbSetupError::Migrate(connector.location.redact(&error.to_string())))
}

fn applied_on_sqlite(conn: &mut SqliteConnection) -> QueryResult<Vec<String>> {
    let there = "EXISTS (SELECT 1 FROM sqlite_master WHERE name = '__diesel_schema_migrations')";
    match diesel::select(sql::<Bool>(there)).get_result(conn)? {
        true => applied::table.select(applied::version).load(conn),
        false => Ok(Vec::new()),
    }
}

fn applied_on_postgres(conn: &mut PgConnection) -> QueryResult<Vec<String>> {
    let there = "to_regclass('__diesel_schema_migrations') IS NOT NULL";
    match diesel::select(sql::<Bool>(there)).get_result(conn)? {
        true => applied::table.select(applied::version).load(conn),
        false => Ok(Vec::new()),
    }
}

fn lacking<B: Backend>(embedded: &EmbeddedMigrations, applied: &[String]) -> Result<usize, Failed> {
    let all: Vec<Box<dyn Migration<B>>> = embedded.migrations()?;
    let versions = all.iter().map(|it| it.name().version().to_string());
    Ok(versions.filter(|it| !applied.contains(it)).count())
}

/// Reverts every migration and returns their number.
#[cfg(test)]
pub(in crate::db) fn revert_all(conn: &mut AnyConnection) -> usize {
    let undone = match conn {
        AnyConnection::Sqlite(conn) => conn.revert_all_migrations(SQLITE),
        AnyConnection::Postgres(conn) => conn.revert_all_migrations(POSTGRES),
    };
    undone.expect("every down.sql works").len()
}
