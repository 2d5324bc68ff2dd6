//! The Postgres proxy injects the faults that other tests rely on.

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};

use crate::support::gate::RequestGate;
use crate::support::needs;
use crate::support::postgres::TestDatabase;
use crate::support::postgres_proxy::{PostgresProxy, StatementFault, Trigger};

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
    needs("BYTEPASS_TEST_DATABASE")?;
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
fn postgres_proxy_cuts_before_a_commit_or_drops_its_answer() {
    let Some((database, proxy, url)) = database_and_proxy() else {
        return;
    };
    insert_through(&url).expect("nothing is broken yet");
    assert_eq!((rows(database.url()), proxy.commits()), (1, 1));
    proxy.rule(Trigger::Commit, 2, StatementFault::CutBefore);
    insert_through(&url).expect("the rule speaks of the second");
    insert_through(&url).expect_err("cut before the commit");
    assert_eq!((rows(database.url()), proxy.commits()), (2, 3));
    proxy.rule(Trigger::Commit, 1, StatementFault::LoseAnswer);
    insert_through(&url).expect_err("the answer is lost");
    assert_eq!(rows(database.url()), 3, "but the commit was done");
    proxy.rule(
        Trigger::Statement("INSERT INTO t"),
        1,
        StatementFault::LoseAnswer,
    );
    let mut connection = PgConnection::establish(&url).expect("a connection");
    let lost = sql_query("INSERT INTO t VALUES (2)").execute(&mut connection);
    lost.expect_err("a statement that commits by itself");
    assert_eq!(rows(database.url()), 4);
}

#[tokio::test]
async fn postgres_proxy_holds_a_commit() {
    let Some((database, proxy, url)) = database_and_proxy() else {
        return;
    };
    for (before, kept) in [(true, 0), (false, 2)] {
        let hold = RequestGate::new();
        let act = if before {
            StatementFault::HoldBefore(hold.clone())
        } else {
            StatementFault::HoldAnswer(hold.clone())
        };
        proxy.rule(Trigger::Commit, 1, act);
        let through = url.clone();
        let insert = std::thread::spawn(move || insert_through(&through));
        hold.arrived().await;
        assert_eq!(rows(database.url()), kept);
        assert!(!insert.is_finished());
        hold.release();
        insert.join().expect("no panic").expect("a commit");
    }
}
