//! Rows of the database, read without the broker, to check the broker's answers.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};

use super::api::{Answer, Api};
use super::database::AnyDatabase;
use super::test_env::TestEnv;

/// A connection of the test's own.
pub enum StoredUploads {
    /// To the file.
    Sqlite(SqliteConnection),
    /// To the server, past every proxy.
    Postgres(PgConnection),
}

/// An upload's row.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct UploadRow {
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = Text)]
    pub status: String,
    #[diesel(sql_type = BigInt)]
    pub version: i64,
    #[diesel(sql_type = Nullable<Text>)]
    pub object_key: Option<String>,
    /// When its object was seen to be removed, as text.
    #[diesel(sql_type = Nullable<Text>)]
    pub removed_at: Option<String>,
}

/// A seal attempt's row.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct AttemptRow {
    #[diesel(sql_type = Text)]
    pub object_key: String,
    #[diesel(sql_type = Text)]
    pub state: String,
}

/// An event's row.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct EventRow {
    #[diesel(sql_type = BigInt)]
    pub seq: i64,
    #[diesel(sql_type = Text)]
    pub kind: String,
}

macro_rules! load {
    ($records:expr, $sql:expr) => {
        match $records {
            StoredUploads::Sqlite(connection) => sql_query($sql).load(connection),
            StoredUploads::Postgres(connection) => sql_query($sql).load(connection),
        }
        .expect("the database answers its owner")
    };
}

impl StoredUploads {
    /// Connects.
    pub fn of(database: &AnyDatabase) -> StoredUploads {
        StoredUploads::at(&database.url())
    }

    /// Connects to the database with this URL.
    pub fn at(url: &str) -> StoredUploads {
        let Some(path) = url.strip_prefix("sqlite://") else {
            return StoredUploads::Postgres(
                PgConnection::establish(url).expect("the server answers"),
            );
        };
        let mut connection = SqliteConnection::establish(path).expect("the file opens");
        connection
            .batch_execute("PRAGMA busy_timeout = 20000")
            .expect("a setting");
        StoredUploads::Sqlite(connection)
    }

    /// Runs statements.
    pub fn execute(&mut self, sql: &str) {
        if let Err(error) = self.try_execute(sql) {
            panic!("{sql}: {error}");
        }
    }

    /// Runs statements, and retries while a broker holds a lock they need.
    pub fn try_execute(&mut self, sql: &str) -> Result<(), String> {
        match self {
            StoredUploads::Sqlite(connection) => connection.batch_execute(sql),
            StoredUploads::Postgres(connection) => connection.batch_execute(sql),
        }
        .map_err(|error| error.to_string())
    }

    /// Takes the database's write lock, so that writes of every broker wait and reads continue, until [`StoredUploads::unlock`].
    pub fn lock_writes(&mut self) {
        self.execute(match self {
            StoredUploads::Sqlite(_) => "BEGIN IMMEDIATE",
            StoredUploads::Postgres(_) => "BEGIN; LOCK TABLE uploads IN EXCLUSIVE MODE",
        });
    }

    /// Releases the write lock.
    pub fn unlock(&mut self) {
        self.execute("ROLLBACK");
    }

    /// Every upload, oldest first.
    pub fn uploads(&mut self) -> Vec<UploadRow> {
        load!(
            self,
            "SELECT id, status, version, object_key, CAST(object_removed_at AS text) AS removed_at FROM uploads ORDER BY id"
        )
    }

    /// One upload.
    pub fn upload(&mut self, id: &str) -> UploadRow {
        let found = self.uploads().into_iter().find(|row| row.id == id);
        found.unwrap_or_else(|| panic!("no row for {id}"))
    }

    /// Its seal attempts, oldest first.
    pub fn attempts(&mut self, id: &str) -> Vec<AttemptRow> {
        load!(
            self,
            format!(
                "SELECT object_key, state FROM seal_attempts WHERE upload_id = '{id}' ORDER BY started_at, object_key"
            )
        )
    }

    /// Its events in their order.
    pub fn events(&mut self, id: &str) -> Vec<EventRow> {
        load!(
            self,
            format!("SELECT seq, type AS kind FROM events WHERE upload_id = '{id}' ORDER BY seq")
        )
    }

    /// Fails the test unless the upload is unchanged and all its seal attempts are open.
    #[track_caller]
    pub fn untouched(&mut self, id: &str) {
        let row = self.upload(id);
        let found = (row.status.as_str(), row.version, row.object_key);
        assert_eq!(found, ("pending", 0, None));
        assert_eq!(self.events(id), []);
        let attempts = self.attempts(id);
        let open = attempts.iter().all(|attempt| attempt.state == "open");
        assert!(open, "{attempts:?}");
    }
}

/// Fails the test unless this confirmed upload has one record, one recorded attempt, one event, and its object these bytes.
pub async fn is_confirmed_once(test_env: &TestEnv, confirmed: &Answer, bytes: &[u8]) {
    let (id, key) = (confirmed.id(), confirmed.json["key"].as_str());
    assert_eq!(confirmed.json["status"], "confirmed");
    let mut records = StoredUploads::of(&test_env.database);
    let row = records.upload(id);
    assert_eq!((row.status.as_str(), row.version), ("confirmed", 1));
    assert_eq!(row.object_key.as_deref(), key, "{id}");
    let key = key.expect("a confirmed upload has a key");
    let recorded = |attempt: &AttemptRow| attempt.state == "recorded";
    let attempts = records.attempts(id);
    let recorded: Vec<_> = attempts.iter().filter(|it| recorded(it)).collect();
    assert!(
        recorded.len() == 1 && recorded[0].object_key == key,
        "{attempts:?}"
    );
    let events = records.events(id);
    let one = EventRow {
        seq: 1,
        kind: "upload.confirmed".to_owned(),
    };
    assert_eq!(events, [one]);
    let object = test_env.bucket.get(key).await;
    assert_eq!(object.as_deref(), Some(bytes), "{key}");
}

/// Confirms until it is done. Meanwhile only "come back" (503) may be the answer; fails the test after `limit`.
pub async fn confirm_within(api: &Api, id: &str, limit: Duration) -> Answer {
    let end = Instant::now() + limit;
    loop {
        let answer = api.confirm(id).await;
        if answer.status == 200 {
            return answer;
        }
        is_retryable(&answer);
        assert!(Instant::now() < end, "still {}", answer.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Fails the test unless this is a 503 that says which part is missing and when to come back.
#[track_caller]
pub fn is_retryable(answer: &Answer) {
    let known = ["store-unavailable", "database-unavailable"].contains(&answer.code());
    let after = answer.header("retry-after").parse::<u32>();
    let sound = answer.status == 503 && known && after.is_ok_and(|secs| (1..=60).contains(&secs));
    assert!(sound, "{answer:?}");
}
