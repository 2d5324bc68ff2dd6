//! The Postgres proxy does what it promises, seen on the real server. Without one there is nothing to show here.

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};

use crate::support::hold::Hold;
use crate::support::postgres::TestDatabase;
use crate::support::postgres_proxy::{Do, On, PostgresProxy};

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

fn rows(url: &str) -> i64 {
    let mut connection = PgConnection::establish(url).expect("a connection");
    sql_query("SELECT count(*) AS rows FROM t")
        .get_result::<Count>(&mut connection)
        .expect("a count")
        .rows
}

fn insert_through(url: &str) -> diesel::QueryResult<()> {
    let mut connection = PgConnection::establish(url).expect("a connection");
    connection.transaction(|connection| {
        sql_query("INSERT INTO t VALUES (1)").execute(connection)?;
        Ok(())
    })
}

/// A database with an empty table `t`, and a proxy before it; `None` when the suite runs on SQLite.
fn database_and_proxy() -> Option<(TestDatabase, PostgresProxy, String)> {
    let database = TestDatabase::create()?;
    PgConnection::establish(database.url())
        .expect("a connection")
        .batch_execute("CREATE TABLE t (n int)")
        .expect("a table");
    let proxy = PostgresProxy::start(database.server());
    let url = database.url_through(proxy.network.address());
    Some((database, proxy, url))
}

#[test]
fn the_postgres_proxy_cuts_before_a_commit_or_loses_its_answer() {
    let Some((database, proxy, url)) = database_and_proxy() else {
        return;
    };
    insert_through(&url).expect("nothing is broken yet");
    assert_eq!((rows(database.url()), proxy.commits()), (1, 1));
    proxy.rule(On::Commit, 2, Do::CutBefore);
    insert_through(&url).expect("the rule speaks of the second");
    insert_through(&url).expect_err("cut before the commit");
    assert_eq!((rows(database.url()), proxy.commits()), (2, 3));
    proxy.rule(On::Commit, 1, Do::LoseAnswer);
    insert_through(&url).expect_err("the answer is lost");
    assert_eq!(rows(database.url()), 3, "but the commit was done");
    proxy.rule(On::Statement("INSERT INTO t"), 1, Do::LoseAnswer);
    let mut connection = PgConnection::establish(&url).expect("a connection");
    let lost = sql_query("INSERT INTO t VALUES (2)").execute(&mut connection);
    lost.expect_err("a statement that commits by itself");
    assert_eq!(rows(database.url()), 4);
}

#[tokio::test]
async fn the_postgres_proxy_holds_a_commit() {
    let Some((database, proxy, url)) = database_and_proxy() else {
        return;
    };
    for (before, kept) in [(true, 0), (false, 2)] {
        let hold = Hold::new();
        let act = if before {
            Do::HoldBefore(hold.clone())
        } else {
            Do::HoldAnswer(hold.clone())
        };
        proxy.rule(On::Commit, 1, act);
        let through = url.clone();
        let insert = std::thread::spawn(move || insert_through(&through));
        hold.arrived().await;
        assert_eq!(rows(database.url()), kept);
        assert!(!insert.is_finished());
        hold.release();
        insert.join().expect("no panic").expect("a commit");
    }
}
