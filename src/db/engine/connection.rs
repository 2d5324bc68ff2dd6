//! One connection to either database, and the one way to run a transaction on it.

use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, SimpleConnection as _, TransactionManager};
use diesel::prelude::*;
use diesel::r2d2::ManageConnection;
use diesel::result::Error;
use diesel::sql_types::Text;
use secrecy::ExposeSecret as _;

use super::location::Location;
use crate::db::engine::error::{DbSetupError, Failure};

/// A connection to SQLite or to Postgres: the same queries run on both.
#[derive(diesel::MultiConnection)]
pub enum AnyConnection {
    /// SQLite, from the bundled library.
    Sqlite(SqliteConnection),
    /// Postgres, through the bundled libpq.
    Postgres(PgConnection),
}

/// What a connection is for; it can do nothing else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::db) enum Role {
    /// The writer thread's only connection.
    Writer,
    /// One of the pool's: the database itself refuses a write on it.
    Reader,
    /// Runs migrations, which may take long.
    Migrator,
}

/// Makes connections of one role.
#[derive(Clone)]
pub(in crate::db) struct Connector {
    pub(in crate::db) location: Location,
    pub(in crate::db) role: Role,
    /// How long one statement may take.
    pub(in crate::db) statement_limit: Duration,
}

/// The most that a statement waits for a lock of another broker, in milliseconds: a batch waits with it.
const LOCK_LIMIT_MS: u128 = 1_000;
/// How long a broker that fell asleep inside a transaction keeps its locks, in milliseconds.
const ASLEEP_LIMIT_MS: u128 = 10_000;

impl Connector {
    /// Opens a connection and prepares it for its role.
    pub(in crate::db) fn connect(&self) -> Result<AnyConnection, DbSetupError> {
        let failed = |error: &dyn std::fmt::Display| {
            DbSetupError::Connect(self.location.redact(&error.to_string()))
        };
        match &self.location {
            Location::Sqlite(path) => {
                let at = |error: &dyn std::fmt::Display| {
                    let hint = "its directory must exist and be writable";
                    failed(&format!("SQLite file {}: {error} ({hint})", path.display()))
                };
                let mut conn =
                    SqliteConnection::establish(&path.to_string_lossy()).map_err(|e| at(&e))?;
                self.prepare_sqlite(&mut conn).map_err(|e| at(&e))?;
                Ok(AnyConnection::Sqlite(conn))
            }
            Location::Postgres(url) => {
                // libpq would have OpenSSL clean up when the process exits, under the feet of the pool's threads that are just
                // connecting: a command that had done its work then ended by a signal. This comes first and leaves that out.
                openssl_sys::init();
                let mut conn =
                    PgConnection::establish(url.expose_secret()).map_err(|e| failed(&e))?;
                self.prepare_postgres(&mut conn, url.expose_secret())
                    .map_err(|e| failed(&e))?;
                Ok(AnyConnection::Postgres(conn))
            }
        }
    }

    fn prepare_sqlite(&self, conn: &mut SqliteConnection) -> QueryResult<()> {
        // The other process on this file is another broker: its commits take milliseconds.
        let busy_ms = self.statement_limit.as_millis().min(3_000);
        conn.batch_execute(&format!(
            "PRAGMA busy_timeout = {busy_ms}; PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL;"
        ))?;
        if self.role == Role::Reader {
            return conn.batch_execute("PRAGMA query_only = ON;");
        }
        conn.batch_execute("PRAGMA journal_mode = WAL;")?;
        let mode: String = diesel::select(diesel::dsl::sql::<Text>(
            "(SELECT journal_mode FROM pragma_journal_mode)",
        ))
        .get_result(conn)?;
        if mode == "wal" {
            return Ok(());
        }
        let why = format!("the file system can't do WAL, journal mode is {mode}");
        Err(Error::QueryBuilderError(why.into()))
    }

    fn prepare_postgres(&self, conn: &mut PgConnection, url: &str) -> QueryResult<()> {
        let statement_ms = match self.role {
            Role::Migrator => 0,
            Role::Writer | Role::Reader => self.statement_limit.as_millis(),
        };
        let lock_ms = match self.role {
            Role::Migrator => 0,
            Role::Writer | Role::Reader => LOCK_LIMIT_MS.min(statement_ms),
        };
        let limits = [
            ("statement_timeout", statement_ms),
            ("lock_timeout", lock_ms),
            ("idle_in_transaction_session_timeout", ASLEEP_LIMIT_MS),
        ];
        // Set here and not in the URL's `options`, because poolers refuse that parameter. A URL that names one wins.
        let mut settings: String = limits
            .iter()
            .filter(|(name, _)| !url.contains(name))
            .map(|(name, limit)| format!("SET {name} = {limit};"))
            .collect();
        if self.role == Role::Reader {
            settings.push_str("SET default_transaction_read_only = on;");
        }
        conn.batch_execute(&settings)?;
        self.untranslate_messages(conn)
    }

    /// Sets `lc_messages` to `C`, because [`super::error`] recognises some errors by their messages. Only a superuser or a role with
    /// `GRANT SET ON PARAMETER lc_messages` (Postgres 15 and newer) may do it; for another role an administrator runs
    /// `ALTER DATABASE … SET lc_messages = 'C'` once. Source: the Postgres manual, "Client Connection Defaults", `lc_messages`.
    fn untranslate_messages(&self, conn: &mut PgConnection) -> QueryResult<()> {
        let current = "current_setting('lc_messages')";
        let language: String =
            diesel::select(diesel::dsl::sql::<Text>(current)).get_result(conn)?;
        let english = ["C", "POSIX"].contains(&language.as_str()) || language.starts_with("en_");
        // The writer says it for all: readers connect more often.
        if !english
            && conn.batch_execute("SET lc_messages = 'C'").is_err()
            && self.role == Role::Writer
        {
            tracing::warn!(
                lc_messages = language,
                "postgres may translate its messages, so that a lock timeout is an internal error; run ALTER DATABASE … SET lc_messages = 'C'"
            );
        }
        Ok(())
    }
}

/// A pooled connection, with what is known about its health.
pub(in crate::db) struct Link {
    pub(in crate::db) conn: AnyConnection,
    /// It failed in a way that the pool must not pass on.
    pub(in crate::db) broken: bool,
}

impl ManageConnection for Connector {
    type Connection = Link;
    type Error = DbSetupError;

    fn connect(&self) -> Result<Link, DbSetupError> {
        let conn = Connector::connect(self)?;
        Ok(Link {
            conn,
            broken: false,
        })
    }

    fn is_valid(&self, link: &mut Link) -> Result<(), DbSetupError> {
        let dead = || DbSetupError::Connect("the connection was lost".to_owned());
        if is_alive(&mut link.conn) {
            Ok(())
        } else {
            Err(dead())
        }
    }

    fn has_broken(&self, link: &mut Link) -> bool {
        link.broken || std::thread::panicking()
    }
}

/// Whether the connection still answers and can begin a transaction: one that was left in another, or in an error, never can.
pub(in crate::db) fn is_alive(conn: &mut AnyConnection) -> bool {
    let depth = AnyConnection::transaction_manager_status_mut(conn).transaction_depth();
    matches!(depth, Ok(None)) && conn.batch_execute("SELECT 1").is_ok()
}

/// How a transaction came to nothing, or perhaps to something.
#[derive(Debug)]
pub(in crate::db) enum Undone {
    /// It never began.
    NotBegun(Error),
    /// It was rolled back, or died before its commit was sent.
    RolledBack(Failure),
    /// Its commit has no answer: it may have happened.
    CommitUnanswered(Error),
}

/// Runs the body in one transaction. On SQLite it takes the write lock at once: 332 of 400 deferred ones failed.
pub(in crate::db) fn transaction<T>(
    conn: &mut AnyConnection,
    body: impl FnOnce(&mut AnyConnection) -> Result<T, Failure>,
) -> Result<T, Undone> {
    begin(conn).map_err(Undone::NotBegun)?;
    match body(conn) {
        Ok(value) => match AnyConnection::commit_transaction(conn) {
            Ok(()) => Ok(value),
            Err(error) => Err(Undone::CommitUnanswered(error)),
        },
        Err(failure) => {
            roll_back(conn);
            Err(Undone::RolledBack(failure))
        }
    }
}

/// Runs reads that all see the database at one moment, so that their numbers agree.
pub(in crate::db) fn snapshot<T>(
    conn: &mut AnyConnection,
    reads: impl FnOnce(&mut AnyConnection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    match conn {
        AnyConnection::Sqlite(conn) => {
            AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN")?;
        }
        AnyConnection::Postgres(conn) => AnsiTransactionManager::begin_transaction_sql(
            conn,
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        )?,
    }
    let read = reads(conn);
    roll_back(conn);
    read
}

/// Without its connection a transaction rolls back by itself; `is_alive` says next that this one is to go.
fn roll_back(conn: &mut AnyConnection) {
    if AnyConnection::rollback_transaction(conn).is_err() {
        AnyConnection::transaction_manager_status_mut(conn).set_in_error();
    }
}

fn begin(conn: &mut AnyConnection) -> QueryResult<()> {
    match conn {
        AnyConnection::Sqlite(conn) => {
            AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE")
        }
        AnyConnection::Postgres(conn) => AnsiTransactionManager::begin_transaction_sql(
            conn,
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        ),
    }
}
