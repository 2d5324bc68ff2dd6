//! Opening, migrating, and the one line that says what is wrong.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::Text;
use secrecy::SecretString;

use super::support::{Rig, create};
use crate::db::engine::location::Location;
use crate::db::engine::migrate::{revert_all, revert_newest};
use crate::db::{Db, DbOptions, DbSetupError};
use crate::telemetry::metrics::Metrics;

fn open(url: &str) -> Result<Db, DbSetupError> {
    Db::open(DbOptions::new(SecretString::from(url)), Metrics::new())
}

fn failure(url: &str) -> String {
    let text = open(url).err().expect("refused").to_string();
    assert!(!text.contains('\n') && !text.is_empty(), "{text}");
    text
}

#[test]
fn a_url_that_is_not_served_says_which_are() {
    for url in [
        "",
        "mysql://h/d",
        "sqlite::memory:",
        "sqlite://:memory:",
        "sqlite://",
        "sqlite:x.db",
        "sqlite://x.db?mode=ro",
        "/tmp/x.db",
    ] {
        assert!(failure(url).contains("sqlite:///absolute/path"), "{url}");
    }
}

#[test]
fn c1_no_failure_shows_a_password() {
    let urls = [
        "postgres://user:s3cr%40t@127.0.0.1:1/db",
        "postgres://user:s3cr@t@127.0.0.1:1/db",
        "postgres://user:s3cr/t@127.0.0.1:1/db",
        "postgres://user:s3cr?t@127.0.0.1:1/db",
        "postgres://user:s3cr%t@127.0.0.1:1/db",
        "postgres://user:s3cr#t@127.0.0.1:1/db",
        "postgres://127.0.0.1:1/db?user=x&password=s3cr%40t",
        "postgres://user:s3crt@s3crt.invalid:1/db",
    ];
    for url in urls {
        let text = failure(url);
        assert!(!text.contains("s3cr"), "{text}");
        let options = format!("{:?}", DbOptions::new(SecretString::from(url)));
        assert!(!options.contains("s3cr"), "{options}");
    }
    assert!(failure(urls[0]).contains("127.0.0.1"), "the cause is shown");
    assert!(failure(urls[0]).to_lowercase().contains("refused"));
}

#[test]
fn a_sqlite_file_that_cannot_be_opened_says_where() {
    let text = failure("sqlite:///nowhere/at/all.db");
    assert!(
        text.contains("/nowhere/at/all.db") && text.contains("directory"),
        "{text}"
    );
}

#[test]
fn postgres_gets_bounds_unless_its_url_has_them() {
    use secrecy::ExposeSecret as _;
    let url = SecretString::from("postgresql://h/d?connect_timeout=9&");
    let Ok(Location::Postgres(full)) = Location::parse(&url) else {
        panic!("postgres")
    };
    let full = full.expose_secret();
    assert!(
        full.contains("tcp_user_timeout=5000") && full.contains("application_name=bytepass"),
        "{full}"
    );
    assert!(
        full.contains("connect_timeout=9") && !full.contains("connect_timeout=3"),
        "{full}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_speaks_tls() {
    let Some(rig) = Rig::postgres() else { return };
    let plain = rig.url.split('?').next().unwrap();
    if rig.count("SELECT COUNT(*) FROM pg_settings WHERE name = 'ssl' AND setting = 'on'") == 0 {
        return;
    }
    let db = open(&format!(
        "{plain}?sslmode=require&application_name=with_tls"
    ))
    .unwrap();
    create(&db).await;
    let encrypted = "SELECT COUNT(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE s.ssl AND a.application_name = 'with_tls'";
    assert!(rig.count(encrypted) >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_start_at_once_migrate_once() {
    for rig in Rig::each() {
        // Down to nothing: so every down.sql undoes its up.sql.
        let steps = revert_all(&mut rig.connect());
        let brokers: Vec<Db> = (0..4).map(|_| rig.open()).collect();
        assert_eq!(brokers[0].pending_migrations(), Ok(steps));
        let threads: Vec<_> = brokers
            .iter()
            .cloned()
            .map(|db| std::thread::spawn(move || db.migrate().unwrap()))
            .collect();
        let applied: usize = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
        assert_eq!(applied, steps);
        assert_eq!(brokers[3].pending_migrations(), Ok(0));
        create(&brokers[2]).await;
    }
}

#[test]
fn r9_a_migration_gives_way_to_a_transaction_that_has_a_table_and_wants_the_other() {
    use diesel::connection::SimpleConnection as _;
    // SQLite has one lock for all tables.
    let Some(rig) = Rig::postgres() else {
        return;
    };
    // The one before the newest alters two tables.
    for _ in 0..2 {
        revert_newest(&mut rig.connect());
    }
    // Neither of them may be saved by Postgres, which ends one of two that wait for each other.
    let patience = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 20000', current_database()); END $$";
    rig.execute(patience);
    let mut at_work = rig.connect();
    let takes = |table: &str| format!("LOCK TABLE {table} IN ROW EXCLUSIVE MODE");
    at_work
        .batch_execute(&format!("BEGIN; {}", takes("seal_attempts")))
        .unwrap();
    let db = rig.open();
    let migrating = std::thread::spawn(move || db.migrate());
    let waiting =
        "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = 'seal_attempts'::regclass";
    while rig.count(waiting) == 0 {
        assert!(!migrating.is_finished(), "it needs the table");
    }
    let begun = Instant::now();
    at_work
        .batch_execute(&format!("{}; COMMIT", takes("uploads")))
        .unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(migrating.join().unwrap(), Ok(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_can_not_write() {
    use diesel::connection::SimpleConnection as _;
    for rig in Rig::each() {
        let db = rig.open();
        let id = create(&db).await.upload().id;
        let write = |conn: &mut crate::db::engine::connection::AnyConnection| {
            Ok(conn.batch_execute("UPDATE uploads SET owner = 'x'")?)
        };
        assert!(db.readers.read(write).await.is_err());
        assert_eq!(db.find_upload(id).await.unwrap().unwrap().owner, "user:1");
    }
}

/// Tables with their columns, and indexes.
fn names(rig: &Rig) -> BTreeSet<String> {
    let sql = if rig.is_postgres() {
        "SELECT table_name || '.' || column_name AS name FROM information_schema.columns WHERE table_schema = 'public' \
         AND table_name NOT IN (SELECT viewname FROM pg_views) \
         UNION SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE '%_pkey'"
    } else {
        "SELECT m.name || '.' || c.name AS name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' \
         UNION SELECT name FROM sqlite_schema WHERE type = 'index' AND name NOT LIKE 'sqlite_%'"
    };
    let query = diesel::dsl::sql::<Text>(sql);
    let found: Vec<String> = query.load(&mut rig.connect()).unwrap();
    found
        .into_iter()
        .filter(|name| !name.starts_with("__diesel"))
        .collect()
}

#[test]
fn both_databases_have_the_same_names_and_the_schema_file_knows_them() {
    let on_sqlite = names(&Rig::sqlite());
    assert!(on_sqlite.len() > 30, "{on_sqlite:?}");
    let schema = include_str!("../engine/schema.rs");
    for name in &on_sqlite {
        if let Some((_, column)) = name.split_once('.') {
            let known = schema.contains(&format!(" {column} -> ")) || column == "type";
            assert!(known, "{name}");
        }
    }
    if let Some(rig) = Rig::postgres() {
        assert_eq!(names(&rig), on_sqlite);
    }
}
