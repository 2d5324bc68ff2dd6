//! Connections to SQLite or Postgres, and transactions on them.

use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, SimpleConnection as _, TransactionManager};
use diesel::prelude::*;
use diesel::r2d2::ManageConnection;
use diesel::result::Error;
use diesel::sql_types::Text;
use secrecy::ExposeSecret as _;

use super::location::Location;
use crate::db::engine::error::{DbSetupError, Failure};

/// A connection to SQLite or Postgres: the same queries run on both.
#[derive(diesel::MultiConnection)]
pub enum AnyConnection {
    /// SQLite, from the bundled library.
    Sqlite(SqliteConnection),
    /// Postgres, through the bundled libpq.
    Postgres(PgConnection),
}

/// The use of a connection, which limits what it can do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::db) enum Role {
    /// The writer thread's only connection.
    Writer,
    /// A connection of the pool: the database refuses writes on it.
    Reader,
    /// Runs migrations, without limits on time.
    Migrator,
}

/// Makes connections of one role.
#[derive(Clone)]
pub(in crate::db) struct Connector {
    pub(in crate::db) location: Location,
    pub(in crate::db) role: Role,
    /// The longest time of one statement.
    pub(in crate::db) statement_limit: Duration,
}

/// How long a statement waits for a lock of another broker, in milliseconds. The whole batch waits with it.
const LOCK_LIMIT_MS: u128 = 1_000;
/// How long a broker that is suspended inside a transaction keeps its locks, in milliseconds.
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
                // libpq lets OpenSSL clean up at process exit, while threads of the pool may be connecting: a finished command then
                // died by a signal. Initialising OpenSSL first prevents the clean-up.
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
        // Another process on this file is another broker, whose commits take milliseconds.
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
        let why = format!("the file system does not support WAL, journal mode is {mode}");
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
        // Set here and not in the URL's `options`, because poolers refuse that parameter. A setting in the URL takes precedence.
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

/// A pooled connection, and whether it is known to be broken.
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

/// Whether the connection answers and can begin a transaction. One that is still inside a transaction, or in an error, cannot.
pub(in crate::db) fn is_alive(conn: &mut AnyConnection) -> bool {
    let depth = AnyConnection::transaction_manager_status_mut(conn).transaction_depth();
    matches!(depth, Ok(None)) && conn.batch_execute("SELECT 1").is_ok()
}

/// Why a transaction has not, or perhaps not, been committed.
#[derive(Debug)]
pub(in crate::db) enum Undone {
    /// It never began.
    NotBegun(Error),
    /// It was rolled back, or died before its commit was sent.
    RolledBack(Failure),
    /// Its commit has no answer: it may be committed.
    CommitUnanswered(Error),
}

/// Runs the body in one transaction. On SQLite it takes the write lock at once: 332 of 400 deferred transactions failed.
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

/// Runs reads in one snapshot of the database, so that their numbers agree.
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

/// Rolls back. If that fails the connection is marked, so that [`is_alive`] is false; the transaction ends with the connection.
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
