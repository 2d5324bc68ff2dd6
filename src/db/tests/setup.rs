//! Opening and migrating a database, and the one-line errors.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_migrations::FileBasedMigrations;
use secrecy::SecretString;

use super::support::{Rig, create};
use crate::config::Database;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::location::Location;
use crate::db::engine::migrate::{revert_all, run_on_postgres};
use crate::db::{Db, DbSetupError};

fn open(url: &str) -> Result<Db, DbSetupError> {
    super::support::open(Database::with_url(SecretString::from(url)))
}

fn failure(url: &str) -> String {
    let text = open(url).err().expect("refused").to_string();
    assert!(!text.contains('\n') && !text.is_empty(), "{text}");
    text
}

#[test]
fn unsupported_url_error_names_the_supported_forms() {
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
fn no_error_shows_a_password() {
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
        let options = format!("{:?}", Database::with_url(SecretString::from(url)));
        assert!(!options.contains("s3cr"), "{options}");
    }
    assert!(failure(urls[0]).contains("127.0.0.1"), "the cause is shown");
    assert!(failure(urls[0]).to_lowercase().contains("refused"));
}

#[test]
fn sqlite_file_that_cannot_be_opened_is_named() {
    let text = failure("sqlite:///nowhere/at/all.db");
    assert!(
        text.contains("/nowhere/at/all.db") && text.contains("directory"),
        "{text}"
    );
}

#[test]
fn postgres_url_gets_default_timeouts_unless_it_has_them() {
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
async fn postgres_connection_uses_tls() {
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
async fn brokers_that_start_together_migrate_once() {
    for rig in Rig::each() {
        // To an empty database: each down.sql undoes its up.sql.
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
fn migration_yields_to_a_transaction_that_holds_one_table_and_wants_another() {
    use diesel::connection::SimpleConnection as _;
    // SQLite has one lock for all tables.
    let Some(rig) = Rig::postgres() else {
        return;
    };
    // Postgres must not resolve the deadlock, by ending one of the two transactions.
    let patience = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 20000', current_database()); END $$";
    rig.execute(patience);
    let folder = tempfile::tempdir().unwrap();
    let migration = folder.path().join("2999-01-01-000000_two_tables");
    std::fs::create_dir(&migration).unwrap();
    let up =
        "ALTER TABLE uploads ADD COLUMN one text; ALTER TABLE seal_attempts ADD COLUMN other text;";
    std::fs::write(migration.join("up.sql"), up).unwrap();
    std::fs::write(migration.join("down.sql"), "SELECT 1").unwrap();
    let mut at_work = rig.connect();
    let takes = |table: &str| format!("LOCK TABLE {table} IN ROW EXCLUSIVE MODE");
    at_work
        .batch_execute(&format!("BEGIN; {}", takes("seal_attempts")))
        .unwrap();
    let mut conn = rig.connect();
    let migrating = std::thread::spawn(move || {
        let migrations = FileBasedMigrations::from_path(folder.path()).unwrap();
        let AnyConnection::Postgres(conn) = &mut conn else {
            panic!("Postgres")
        };
        run_on_postgres(conn, || migrations.clone()).map_err(|error| error.to_string())
    });
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
    assert_eq!(migrating.join().unwrap(), Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_cannot_write() {
    use diesel::connection::SimpleConnection as _;
    for rig in Rig::each() {
        let db = rig.open();
        let id = create(&db).await.upload().id;
        let write =
            |conn: &mut AnyConnection| Ok(conn.batch_execute("UPDATE uploads SET owner = 'x'")?);
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
        "SELECT m.name || '.' || c.name AS name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' \
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
fn both_schemas_and_the_schema_file_have_the_same_names() {
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
