//! The database of one test, of the kind that this run of the suite is about.

use tempfile::TempDir;

use super::postgres::TestDatabase;

/// An empty database that is gone after the test.
pub enum AnyDatabase {
    /// A file in a folder of its own.
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

    /// The URL for the broker's configuration.
    pub fn url(&self) -> String {
        match self {
            AnyDatabase::Sqlite(folder) => {
                format!("sqlite://{}", folder.path().join("test.db").display())
            }
            AnyDatabase::Postgres(database) => database.url().to_owned(),
        }
    }
}
