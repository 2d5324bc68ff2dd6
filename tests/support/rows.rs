//! The broker's tables, read and changed without the broker, as with `psql` or `sqlite3`.

use chrono::{TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::test_env::TestEnv;
use super::upload_rows::StoredUploads;

/// A way into one test's database, with plain SQL that both databases understand.
pub struct Rows {
    url: String,
}

/// An open transaction that keeps everyone from writing until it is dropped.
pub struct Locked(StoredUploads);

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

impl Rows {
    /// The tables of this test environment.
    pub fn of(test_env: &TestEnv) -> Rows {
        Rows {
            url: test_env.database.url(),
        }
    }

    /// The answers of a query whose one column is a text that is called `line`.
    pub fn lines(&self, sql: &str) -> Vec<String> {
        let query = diesel::sql_query(sql);
        let found = match &mut self.connect() {
            StoredUploads::Sqlite(conn) => query.load::<Line>(conn),
            StoredUploads::Postgres(conn) => query.load::<Line>(conn),
        };
        let found = found.unwrap_or_else(|error| panic!("{sql}: {error}"));
        found.into_iter().map(|row| row.line).collect()
    }

    /// Changes rows; fails the test unless exactly one was.
    pub fn change_one(&self, sql: &str) {
        let query = diesel::sql_query(sql);
        let changed = match &mut self.connect() {
            StoredUploads::Sqlite(conn) => query.execute(conn),
            StoredUploads::Postgres(conn) => query.execute(conn),
        };
        assert_eq!(changed, Ok(1), "{sql}");
    }

    /// The upload's events in their order, `1 upload.confirmed`.
    pub fn events(&self, upload: &str) -> Vec<String> {
        self.lines(&format!(
            "SELECT CAST(seq AS text) || ' ' || type AS line FROM events WHERE upload_id = '{upload}' ORDER BY seq"
        ))
    }

    /// The upload's seal attempts, oldest first: key and state.
    pub fn attempts(&self, upload: &str) -> Vec<(String, String)> {
        let lines = self.lines(&format!(
            "SELECT object_key || ' ' || state AS line FROM seal_attempts WHERE upload_id = '{upload}' ORDER BY started_at"
        ));
        let pair = |line: &String| line.split_once(' ').map(|(a, b)| (a.into(), b.into()));
        lines.iter().filter_map(pair).collect()
    }

    /// The number of attempts of the upload in this state.
    pub fn attempts_in(&self, upload: &str, state: &str) -> usize {
        let attempts = self.attempts(upload);
        attempts.iter().filter(|(_, found)| found == state).count()
    }

    /// Sets the upload's deadline to `secs` from now; may be negative.
    pub fn set_deadline(&self, upload: &str, secs_from_now: i64) {
        let at = Utc::now() + TimeDelta::seconds(secs_from_now);
        let mut text = at.format("%Y-%m-%d %H:%M:%S%.6f").to_string();
        if self.url.starts_with("postgres") {
            text.push_str("+00");
        }
        self.change_one(&format!(
            "UPDATE uploads SET expires_at = '{text}' WHERE id = '{upload}'"
        ));
    }

    /// Keeps every writer of the uploads waiting.
    pub fn lock(&self) -> Locked {
        let mut connected = self.connect();
        connected.execute(match &connected {
            StoredUploads::Sqlite(_) => "BEGIN EXCLUSIVE",
            StoredUploads::Postgres(_) => "BEGIN; LOCK TABLE uploads IN ACCESS EXCLUSIVE MODE",
        });
        Locked(connected)
    }

    fn connect(&self) -> StoredUploads {
        StoredUploads::at(&self.url)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // If it fails the connection is gone, and the lock with it.
        let _ = match &mut self.0 {
            StoredUploads::Sqlite(conn) => conn.batch_execute("ROLLBACK"),
            StoredUploads::Postgres(conn) => conn.batch_execute("ROLLBACK"),
        };
    }
}
