//! Database errors, reduced to the cases that a caller handles differently.
//!
//! Diesel gives a [`DatabaseErrorKind`] for some SQLSTATEs and SQLite result codes: constraint violations, serialization failures,
//! read-only transactions and closed connections. For every other code it gives the message alone, with neither the SQLSTATE
//! (diesel 2.3.14, `pg/connection/result.rs`: `_ => DatabaseErrorKind::Unknown`) nor the result code (`sqlite/connection/stmt.rs`,
//! `last_error`), and no access to the connection behind it. Such an error is recognised by its message, whose text is fixed:
//! SQLite's is a constant of the bundled library (`sqlite3ErrStr` in `sqlite3.c`), and Postgres sends its own untranslated because
//! each connection sets `lc_messages` to `C` (see [`super::connection`]).

use diesel::result::{DatabaseErrorKind, Error};

/// Why a database operation failed. After every error but [`DbError::Unknown`] nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DbError {
    /// The queue is full, no connection was free in time, or another transaction held a lock. A retry may succeed.
    #[error("the database is busy")]
    Busy,
    /// There is no connection, or the database can't write.
    #[error("the database is not available")]
    Unavailable,
    /// The change may be committed: the answer to the commit is late, or was lost and could not be read back.
    #[error("the outcome of the change is not known")]
    Unknown,
    /// A fault of the broker: a row that can't be parsed, a violated constraint. The text is for the log only.
    #[error("internal database error: {0}")]
    Internal(String),
}

/// Why the database can't be opened or migrated. The message is one line and never shows the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DbSetupError {
    /// The URL has no supported form.
    #[error("database URL: {0}")]
    Url(String),
    /// The file can't be opened, or the server refuses the connection.
    #[error("cannot open the database: {0}")]
    Connect(String),
    /// The schema lacks this many migrations of this binary.
    #[error("it lacks {0} migration(s): run `bytepass migrate`")]
    Behind(usize),
    /// A migration failed, or the applied migrations can't be read.
    #[error("cannot migrate the database: {0}")]
    Migrate(String),
}

/// Why the body of a transaction or of a read failed.
#[derive(Debug)]
pub(in crate::db) enum Failure {
    /// A statement failed.
    Sql(Error),
    /// Every statement succeeded, and their results can't be accepted.
    Refused(DbError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Sql(error)
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Failure {
        Failure::Refused(error)
    }
}

impl Failure {
    /// The error for the caller, once the work is rolled back.
    pub(in crate::db) fn db_error(&self) -> DbError {
        match self {
            Failure::Refused(error) => error.clone(),
            Failure::Sql(error) => sql_error(error),
        }
    }
}

/// Parts of the messages of errors that another transaction causes: SQLSTATE 57014 (by `statement_timeout`), 55P03 and 40P01;
/// `SQLITE_BUSY` and `SQLITE_LOCKED`.
const CONTENTION: [&str; 5] = [
    "statement timeout",
    "lock timeout",
    "deadlock detected",
    "database is locked",
    "database table is locked",
];

/// Parts of the messages of errors of a database that can't serve now: SQLSTATE 53100, 57P01, 57P03 and 53300; `SQLITE_FULL`,
/// `SQLITE_IOERR`, `SQLITE_READONLY` and `SQLITE_CANTOPEN`.
const UNAVAILABLE: [&str; 9] = [
    "No space left",
    "terminating connection",
    "shutting down",
    "starting up",
    "too many clients",
    "disk is full",
    "disk I/O error",
    "readonly database",
    "unable to open database file",
];

/// Whether this error message says that another transaction was in the way.
pub(in crate::db) fn is_contention(message: &str) -> bool {
    CONTENTION.iter().any(|part| message.contains(part))
}

fn sql_error(error: &Error) -> DbError {
    let Error::DatabaseError(kind, info) = error else {
        return DbError::Internal(error.to_string());
    };
    let message = info.message();
    match kind {
        DatabaseErrorKind::SerializationFailure => DbError::Busy,
        DatabaseErrorKind::ReadOnlyTransaction
        | DatabaseErrorKind::ClosedConnection
        | DatabaseErrorKind::UnableToSendCommand => DbError::Unavailable,
        DatabaseErrorKind::UniqueViolation
        | DatabaseErrorKind::ForeignKeyViolation
        | DatabaseErrorKind::NotNullViolation
        | DatabaseErrorKind::CheckViolation
        | DatabaseErrorKind::RestrictViolation
        | DatabaseErrorKind::ExclusionViolation => {
            DbError::Internal(format!("{kind:?}: {message}"))
        }
        _ if is_contention(message) => DbError::Busy,
        _ if UNAVAILABLE.iter().any(|part| message.contains(part)) => DbError::Unavailable,
        _ => DbError::Internal(format!("{kind:?}: {message}")),
    }
}
