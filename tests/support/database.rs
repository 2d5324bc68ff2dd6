//! The database of one test: SQLite, or Postgres where the matrix job has one.

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;

use super::needs;
use super::postgres::TestDatabase;

/// A connection of the test's own, past the broker.
pub enum AnyConnection {
    /// To the file.
    Sqlite(SqliteConnection),
    /// To the server.
    Postgres(PgConnection),
}

impl AnyConnection {
    /// Runs statements; fails the test if one fails.
    pub fn execute(&mut self, sql: &str) {
        match self {
            AnyConnection::Sqlite(connection) => connection.batch_execute(sql),
            AnyConnection::Postgres(connection) => connection.batch_execute(sql),
        }
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// An empty database that is gone after the test.
pub enum AnyDatabase {
    /// A file in a temporary folder.
    Sqlite(TempDir),
    /// A database on the server that `tests/run` started.
    Postgres(TestDatabase),
}

impl AnyDatabase {
    /// Postgres if `BYTEPASS_TEST_DATABASE` is set, SQLite otherwise.
    pub fn create() -> AnyDatabase {
        match TestDatabase::create() {
            Some(database) => AnyDatabase::Postgres(database),
            None => AnyDatabase::Sqlite(tempfile::tempdir().expect("a folder")),
        }
    }

    /// The Postgres database. `None` on SQLite skips the rest of the calling test, and a printed line says so.
    pub fn needs_postgres(&self) -> Option<&TestDatabase> {
        match self {
            AnyDatabase::Postgres(database) => Some(database),
            AnyDatabase::Sqlite(_) => {
                needs("BYTEPASS_TEST_DATABASE");
                None
            }
        }
    }

    /// The URL for the broker's configuration.
    pub fn url(&self) -> String {
        match self {
            AnyDatabase::Sqlite(folder) => {
                format!("sqlite://{}", folder.path().join("test.db").display())
            }
            AnyDatabase::Postgres(database) => database.url().to_owned(),
        }
    }

    /// A connection of the test's own; SQLite's waits for the broker's writer.
    pub fn connect(&self) -> AnyConnection {
        match self {
            AnyDatabase::Sqlite(folder) => {
                let path = folder.path().join("test.db").display().to_string();
                let connection = SqliteConnection::establish(&path).expect("the file opens");
                let mut connection = AnyConnection::Sqlite(connection);
                connection.execute("PRAGMA busy_timeout = 10000");
                connection
            }
            AnyDatabase::Postgres(database) => {
                let connection = PgConnection::establish(database.url());
                AnyConnection::Postgres(connection.expect("the server answers"))
            }
        }
    }

    /// Runs statements past the broker.
    pub fn execute(&self, sql: &str) {
        self.connect().execute(sql);
    }

    /// Makes every write of the broker wait, until the connection is dropped.
    pub fn block_writes(&self) -> AnyConnection {
        let mut connection = self.connect();
        connection.execute(match self {
            AnyDatabase::Sqlite(_) => "BEGIN IMMEDIATE",
            AnyDatabase::Postgres(_) => "BEGIN; LOCK TABLE uploads IN EXCLUSIVE MODE",
        });
        connection
    }
}
