//! Limits: of the queue, the pool and the waiting times; and busy databases.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::Text;
use futures::future::join_all;
use secrecy::SecretString;

use super::support::{Rig, create, new_upload, open};
use crate::config::Database;
use crate::db::DbError;
use crate::db::engine::connection::AnyConnection;

/// A connection that blocks every writer until it is dropped.
fn in_the_way(rig: &Rig) -> AnyConnection {
    let mut conn = rig.connect();
    let hold = if rig.is_postgres() {
        "BEGIN; LOCK TABLE uploads IN EXCLUSIVE MODE"
    } else {
        "BEGIN IMMEDIATE"
    };
    conn.batch_execute(hold).unwrap();
    conn
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_pool_is_busy_within_two_seconds() {
    for rig in Rig::each() {
        let db = open(Database {
            pool_size: 2,
            ..rig.options()
        })
        .unwrap();
        let id = create(&db).await.upload().id;
        let slow = |_: &mut AnyConnection| {
            std::thread::sleep(Duration::from_secs(3));
            Ok(())
        };
        let began = Instant::now();
        let reads = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            (db.find_upload(id).await, began.elapsed())
        };
        let (first, second, (read, took)) =
            tokio::join!(db.readers.read(slow), db.readers.read(slow), reads);
        assert_eq!((first, second), (Err(DbError::Busy), Err(DbError::Busy)));
        assert_eq!(read, Err(DbError::Busy));
        assert!((1_900..2_600).contains(&took.as_millis()), "{took:?}");
        // A permit is released with its connection, not when its caller times out.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        assert!(db.find_upload(id).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_queue_is_busy_at_once_and_writes_nothing() {
    for rig in Rig::each() {
        let db = open(Database {
            queue_len: 4,
            batch_max: 1,
            write_wait_ms: 700,
            ..rig.options()
        })
        .unwrap();
        let hold = in_the_way(&rig);
        let began = Instant::now();
        let answers = join_all((0..20).map(|_| async {
            let answer = db.create_one(new_upload("user:1")).await;
            (answer.map(|_| ()), began.elapsed())
        }))
        .await;
        let at_once = |took: &Duration| *took < Duration::from_millis(300);
        let refused = answers
            .iter()
            .filter(|(answer, took)| *answer == Err(DbError::Busy) && at_once(took))
            .count();
        assert!(refused >= 14, "{answers:?}");
        // A change that the writer had taken is unknown (one, or a second one just at the timeout); the rest was withdrawn.
        let unknown = answers
            .iter()
            .filter(|(answer, _)| *answer == Err(DbError::Unknown))
            .count();
        assert!(
            unknown <= 2 && answers.iter().all(|(answer, _)| answer.is_err()),
            "{answers:?}"
        );
        drop(hold);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(rig.count("SELECT COUNT(*) FROM uploads") <= 2);
        create(&db).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_caller_leaves_no_row() {
    for rig in Rig::each() {
        let db = open(Database {
            batch_max: 1,
            ..rig.options()
        })
        .unwrap();
        let hold = in_the_way(&rig);
        let taken = tokio::spawn({
            let db = db.clone();
            async move { db.create_one(new_upload("user:1")).await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let gone = tokio::time::timeout(
            Duration::from_millis(100),
            db.create_one(new_upload("user:2")),
        )
        .await;
        assert!(gone.is_err());
        drop(hold);
        let _ = taken.await.unwrap();
        create(&db).await;
        assert_eq!(
            rig.count("SELECT COUNT(*) FROM uploads WHERE owner = 'user:2'"),
            0
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn change_behind_a_held_lock_is_busy() {
    for rig in Rig::each() {
        let db = rig.open();
        let hold = in_the_way(&rig);
        let began = Instant::now();
        assert_eq!(
            db.create_one(new_upload("user:1")).await.err(),
            Some(DbError::Busy)
        );
        assert!(
            began.elapsed() < Duration::from_millis(4_500),
            "{:?}",
            began.elapsed()
        );
        drop(hold);
        create(&db).await;
    }
}

/// Makes the database of `rig` translate its messages, into German if the server has that locale.
fn translate_messages(rig: &Rig) {
    let set = |locale: &str| {
        let name = rig.url.rsplit_once('/').unwrap().1.split('?').next();
        let sql = format!(
            "ALTER DATABASE {} SET lc_messages = '{locale}'",
            name.unwrap()
        );
        rig.connect().batch_execute(&sql).is_ok()
    };
    let locales = ["de_DE.utf8", "de_DE.UTF-8", "C.UTF-8"];
    assert!(locales.into_iter().any(set), "no locale but C");
}

fn lc_messages(conn: &mut AnyConnection) -> QueryResult<String> {
    let current = "current_setting('lc_messages')";
    diesel::select(diesel::dsl::sql::<Text>(current)).get_result(conn)
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_timeout_on_a_server_that_translates_messages_is_busy() {
    let Some(rig) = Rig::postgres() else { return };
    translate_messages(&rig);
    let db = rig.open();
    let hold = in_the_way(&rig);
    let created = db.create_one(new_upload("user:1")).await;
    assert_eq!(created.err(), Some(DbError::Busy));
    drop(hold);
    let read = db.readers.read(|conn| Ok(lc_messages(conn)?)).await;
    assert_eq!(read, Ok("C".to_owned()));
    assert_eq!(lc_messages(&mut rig.connect()), Ok("C".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn role_that_may_not_set_lc_messages_is_served() {
    let Some(rig) = Rig::postgres() else { return };
    translate_messages(&rig);
    let role = format!("bytepass_{:016x}", rand::random::<u64>());
    rig.execute(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD '{role}'; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"
    ));
    let (scheme, rest) = rig.url.split_once("://").unwrap();
    let (_, server) = rest.split_once('@').unwrap();
    let url = format!("{scheme}://{role}:{role}@{server}");
    let db = open(Database::with_url(SecretString::from(url))).unwrap();
    create(&db).await;
    let read = db.readers.read(|conn| Ok(lc_messages(conn)?)).await;
    assert_ne!(read.unwrap(), "C");
    drop(db);
    rig.execute(&format!("DROP OWNED BY {role}"));
    let ended = format!("SELECT COUNT(*) FROM pg_stat_activity WHERE usename = '{role}'");
    while rig.count(&ended) > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.execute(&format!("DROP ROLE {role}"));
}
