//! What can go wrong, in the few words that a caller acts on.

use diesel::result::{DatabaseErrorKind, Error};

/// Why a database operation has no answer. Only [`DbError::Unknown`] leaves open whether something happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DbError {
    /// The queue is full, no connection was free in time, or another transaction held what was needed. Nothing happened.
    #[error("the database is busy")]
    Busy,
    /// There is no connection, or the database can't write. Nothing happened.
    #[error("the database is not available")]
    Unavailable,
    /// It may have happened: the answer did not come in time, or was lost and could not be read back.
    #[error("the database did not say whether it happened")]
    Unknown,
    /// A fault of ours: a row that can't be parsed, a constraint that should hold. Nothing happened. For the log only.
    #[error("internal database error: {0}")]
    Internal(String),
}

/// Why the database can't be used at all. One line, without the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DbSetupError {
    /// The URL is none of the forms that are served.
    #[error("database URL: {0}")]
    Url(String),
    /// It can't be opened or connected to.
    #[error("cannot open the database: {0}")]
    Connect(String),
    /// Its schema is older than this binary's.
    #[error("it lacks {0} migration(s): run `bytepass migrate`")]
    Behind(usize),
    /// A migration failed, or what is pending can't be found out.
    #[error("cannot migrate the database: {0}")]
    Migrate(String),
}

/// Why one piece of work inside a transaction or a read failed.
#[derive(Debug)]
pub(in crate::db) enum Failure {
    /// A statement failed.
    Sql(Error),
    /// Every statement succeeded, and what they say can't be accepted.
    Refused(DbError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Sql(error)
    }
}

impl From<DbError> for Failure {
    fn from(trouble: DbError) -> Failure {
        Failure::Refused(trouble)
    }
}

impl Failure {
    /// The caller's word for it, given that the work was rolled back.
    pub(in crate::db) fn trouble(&self) -> DbError {
        match self {
            Failure::Refused(trouble) => trouble.clone(),
            Failure::Sql(error) => sql_error(error),
        }
    }
}

/// Parts of messages that mean "another transaction was in the way". Diesel shows no SQLSTATE, so the English text must do:
/// with a server that speaks otherwise these become `Internal`, a 500 in place of a 503.
const CONTENTION: [&str; 5] = [
    "statement timeout",
    "lock timeout",
    "deadlock detected",
    "database is locked",
    "database table is locked",
];

/// Parts of messages that mean "this database can't do it now".
const DOWN: [&str; 9] = [
    "disk is full",
    "disk I/O error",
    "readonly database",
    "No space left",
    "shutting down",
    "starting up",
    "terminating connection",
    "too many clients",
    "unable to open database file",
];

fn sql_error(error: &Error) -> DbError {
    let Error::DatabaseError(kind, info) = error else {
        return DbError::Internal(error.to_string());
    };
    let says = |parts: &[&str]| parts.iter().any(|part| info.message().contains(part));
    match kind {
        DatabaseErrorKind::SerializationFailure => DbError::Busy,
        DatabaseErrorKind::ReadOnlyTransaction
        | DatabaseErrorKind::ClosedConnection
        | DatabaseErrorKind::UnableToSendCommand => DbError::Unavailable,
        _ if says(&CONTENTION) => DbError::Busy,
        _ if says(&DOWN) => DbError::Unavailable,
        _ => DbError::Internal(format!("{kind:?}: {}", info.message())),
    }
}
