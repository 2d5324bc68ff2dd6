//! Many uploads, written past the broker: those of ninety days, most of them long since attached.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytepass::domain::ids::{EventId, UploadId};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::{Connection as _, PgConnection, SqliteConnection};

use super::options::Database;
use super::{Outcome, failed};

/// How many rows one statement inserts.
const CHUNK: usize = 1_000;
/// Over how many seconds the uploads are spread.
const SPREAD_SECS: i64 = 90 * 86_400;
const FIELDS: [&str; 4] = [
    "Product.image",
    "ProductImage.image",
    "Deposit.deposit_proof",
    "Order.txid_proof",
];
const UPLOAD_COLUMNS: &str = "id, status, version, field, owner, bucket, object_key, name, filename, content_type, size, created_at, \
     expires_at, url_lifetime_secs, confirmed_at, confirmed_by, etag, differences, attached_at, object_id";

/// What a database was filled with.
pub struct Seeded {
    /// Where a page in its middle begins.
    pub cursor: String,
}

/// Fills a database that has its schema.
pub fn seed(kind: Database, url: &str, rows: usize, pending: f64) -> Outcome<Seeded> {
    match kind {
        Database::Sqlite => {
            let path = url.trim_start_matches("sqlite://");
            let mut conn = SqliteConnection::establish(path).map_err(failed("the file"))?;
            run(
                &mut conn,
                "PRAGMA busy_timeout = 60000; PRAGMA synchronous = OFF; PRAGMA cache_size = -200000",
            )?;
            let seeded = fill(&mut conn, rows, pending)?;
            run(&mut conn, "PRAGMA wal_checkpoint(TRUNCATE)")?;
            Ok(seeded)
        }
        Database::Postgres => {
            let mut conn = PgConnection::establish(url).map_err(failed("Postgres"))?;
            let seeded = fill(&mut conn, rows, pending)?;
            // What autovacuum does within a minute.
            run(&mut conn, "VACUUM ANALYZE")?;
            Ok(seeded)
        }
    }
}

fn fill(conn: &mut impl SimpleConnection, rows: usize, pending: f64) -> Outcome<Seeded> {
    let now = Utc::now();
    let mut middle = String::new();
    run(conn, "BEGIN")?;
    for from in (0..rows).step_by(CHUNK) {
        let (mut uploads, mut events) = (Vec::new(), Vec::new());
        for number in from..rows.min(from + CHUNK) {
            let row = Row::new(number as f64 / rows as f64, number, pending, now);
            uploads.push(row.upload());
            events.extend(row.event());
            if number == rows / 2 {
                middle = row.id.to_string();
            }
        }
        let uploads = uploads.join(",");
        run(
            conn,
            &format!("INSERT INTO uploads ({UPLOAD_COLUMNS}) VALUES {uploads}"),
        )?;
        if !events.is_empty() {
            let events = events.join(",");
            run(
                conn,
                &format!(
                    "INSERT INTO events (id, upload_id, seq, type, occurred_at) VALUES {events}"
                ),
            )?;
        }
    }
    run(
        conn,
        "DELETE FROM upload_counts; INSERT INTO upload_counts (field, status, slot, count, bytes) \
         SELECT field, status, 0, COUNT(*), SUM(size) FROM uploads GROUP BY field, status; COMMIT",
    )?;
    Ok(Seeded {
        cursor: URL_SAFE_NO_PAD.encode(middle),
    })
}

struct Row {
    number: usize,
    id: UploadId,
    at: DateTime<Utc>,
    status: &'static str,
}

impl Row {
    /// The first is the oldest, the last are pending.
    fn new(share: f64, number: usize, pending: f64, now: DateTime<Utc>) -> Row {
        let age = SPREAD_SECS as f64 * (1.0 - share);
        let at = now - TimeDelta::milliseconds((age * 1000.0) as i64);
        let status = match number % 100 {
            _ if share >= 1.0 - pending => "pending",
            0..2 => "rejected",
            2..7 => "expired",
            7..15 => "confirmed",
            _ => "attached",
        };
        let id = UploadId::new(at, &rand::random());
        Row {
            number,
            id,
            at,
            status,
        }
    }

    fn upload(&self) -> String {
        let Row {
            number,
            id,
            at,
            status,
        } = self;
        let (field, owner) = (
            FIELDS[number % FIELDS.len()],
            format!("user:{}", number % 5_000),
        );
        let (at, ends) = (text(*at), text(*at + TimeDelta::hours(12)));
        let (key, attached) = match *status {
            "confirmed" | "attached" => (
                format!("'media/f/{number}.jpg', 'f/{number}.jpg'"),
                if *status == "attached" {
                    format!("'{at}', '{number}'")
                } else {
                    "NULL, NULL".to_owned()
                },
            ),
            _ => ("NULL, NULL".to_owned(), "NULL, NULL".to_owned()),
        };
        let confirmed = match key.starts_with("NULL") {
            true => "NULL, NULL, NULL".to_owned(),
            false => format!("'{at}', 'client', '9b2cf535f27731c974343645a3985328'"),
        };
        let differences = match *status {
            "rejected" => r#"'[{"pointer":"/size","detail":"it has 7 bytes"}]'"#,
            _ => "NULL",
        };
        format!(
            "('{id}', '{status}', 1, '{field}', '{owner}', 'bench', {key}, 'cat.jpg', 'image/jpeg', 183442, '{at}', '{ends}', \
             900, {confirmed}, {differences}, {attached})"
        )
    }

    /// One a settled upload.
    fn event(&self) -> Option<String> {
        let kind = match self.status {
            "pending" => return None,
            "attached" => "confirmed",
            status => status,
        };
        let id = EventId::new(self.at, &rand::random());
        Some(format!(
            "('{id}', '{}', 1, 'upload.{kind}', '{}')",
            self.id,
            text(self.at)
        ))
    }
}

/// As both databases read it.
fn text(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

fn run(conn: &mut impl SimpleConnection, sql: &str) -> Outcome<()> {
    let start: String = sql.chars().take(80).collect();
    conn.batch_execute(sql).map_err(failed(&start))
}
