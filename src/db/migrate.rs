//! Migrations, one folder a dialect with the same names, embedded in the binary.

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::connection::{AnyConnection, Connector};
use super::trouble::DbSetupError;

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// The advisory lock of a migration: "bytepass" in ASCII.
const LOCK: i64 = 0x6279_7465_7061_7373;

/// Applies what is pending, and says how many they were. Two brokers that start at once do it one after the other.
pub(super) fn run(connector: &Connector) -> Result<usize, DbSetupError> {
    let done = match connector.connect()? {
        AnyConnection::Sqlite(mut conn) => run_on_sqlite(&mut conn),
        AnyConnection::Postgres(mut conn) => run_on_postgres(&mut conn),
    };
    done.map_err(|error| DbSetupError::Migrate(connector.location.redact(&error.to_string())))
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

fn run_on_postgres(conn: &mut PgConnection) -> Result<usize, Failed> {
    // Held by the session: it ends with the connection, whatever happens.
    conn.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})"))?;
    Ok(conn.run_pending_migrations(POSTGRES)?.len())
}

/// All of them under one write lock: the harness's own transactions begin too late to keep a second broker out.
fn run_on_sqlite(conn: &mut SqliteConnection) -> Result<usize, Failed> {
    conn.immediate_transaction(|conn| Ok(conn.run_pending_migrations(SQLITE)?.len()))
}

/// How many are embedded and not applied.
pub(super) fn pending(connector: &Connector) -> Result<usize, DbSetupError> {
    let pending = match connector.connect()? {
        AnyConnection::Sqlite(mut conn) => conn.pending_migrations(SQLITE).map(|found| found.len()),
        AnyConnection::Postgres(mut conn) => {
            conn.pending_migrations(POSTGRES).map(|found| found.len())
        }
    };
    pending.map_err(|error| DbSetupError::Migrate(connector.location.redact(&error.to_string())))
}

/// Undoes every migration, and says how many they were.
#[cfg(test)]
pub(super) fn revert_all(conn: &mut AnyConnection) -> usize {
    let undone = match conn {
        AnyConnection::Sqlite(conn) => conn.revert_all_migrations(SQLITE),
        AnyConnection::Postgres(conn) => conn.revert_all_migrations(POSTGRES),
    };
    undone.expect("every down.sql works").len()
}
