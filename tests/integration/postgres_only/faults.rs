//! Postgres behind a proxy: connections cut at each statement, answers lost after the commit, outages.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::api::Api;
use crate::support::fault_proxy::Mode;
use crate::support::postgres_proxy::{PostgresProxy, StatementFault, Trigger};
use crate::support::test_env::{Broker, TestEnv};
use crate::support::upload_rows::{StoredUploads, confirm_within, is_confirmed_once, is_retryable};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";
const READ_WAIT_MS: u64 = 700;
const WRITE_WAIT_MS: u64 = 1_500;
/// The time limit of a request during an outage of the database: a read, a write, and a margin for a slow machine.
const BOUND: Duration = Duration::from_secs(5);
/// The time limit of creates after the return of the database.
const HEALED: Duration = Duration::from_secs(3);

struct Scene {
    broker: Broker,
    proxy: PostgresProxy,
    test_env: TestEnv,
}

/// A broker that reaches Postgres through a proxy; `None` on SQLite.
async fn scene() -> Option<Scene> {
    let test_env = TestEnv::new().await;
    let database = test_env.database.needs_postgres()?;
    let proxy = PostgresProxy::start(database.server());
    let url = database.url_through(proxy.network.address());
    let limits = json!({
        "url": url, "pool_size": 2, "read_wait_ms": READ_WAIT_MS, "write_wait_ms": WRITE_WAIT_MS,
    });
    let broker = test_env.broker_with(json!({ "database": limits })).await;
    Some(Scene {
        broker,
        proxy,
        test_env,
    })
}

/// Creates until it succeeds; fails the test after `limit`.
async fn create_within(api: &Api, limit: Duration) -> String {
    let end = Instant::now() + limit;
    loop {
        let answer = api.create("Product.image", JPEG, "image/jpeg").await;
        if answer.status == 201 {
            return answer.id().to_owned();
        }
        is_retryable(&answer);
        assert!(Instant::now() < end, "still {}", answer.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn faults() -> [StatementFault; 2] {
    [StatementFault::CutBefore, StatementFault::LoseAnswer]
}

#[tokio::test(flavor = "multi_thread")]
async fn create_cut_at_any_statement_leaves_one_row_for_each_success() {
    let Some(Scene {
        broker,
        proxy,
        test_env,
    }) = scene().await
    else {
        return;
    };
    let user = broker.user();
    create_within(&user, HEALED).await;
    let mut succeeded = Vec::new();
    let mut statements = usize::MAX;
    // The fewest of a few: a connection's first create also readies it, and the pool may hand out one that is new.
    for _ in 0..4 {
        let before = proxy.statements().len();
        succeeded.push(create_within(&user, HEALED).await);
        statements = statements.min(proxy.statements().len() - before);
    }
    assert!(statements >= 3, "BEGIN, INSERT, COMMIT");
    let mut unclear = 0;
    for nth in 1..=statements {
        for fault in faults() {
            proxy.rule(Trigger::Statement(""), nth, fault);
            let answer = user.create("Product.image", JPEG, "image/jpeg").await;
            if answer.status == 201 {
                succeeded.push(answer.id().to_owned());
            } else {
                is_retryable(&answer);
                unclear += 1;
                succeeded.push(create_within(&user, HEALED).await);
            }
            assert!(proxy.clear(), "statement {nth} did not come");
        }
    }
    let rows = StoredUploads::of(&test_env.database).uploads();
    for id in &succeeded {
        assert_eq!(rows.iter().filter(|row| row.id == *id).count(), 1);
    }
    // One more was made before the count began. A create without an answer may have left a row.
    let known = succeeded.len() + 1;
    assert!((known..=known + unclear).contains(&rows.len()), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn confirm_cut_at_any_statement_ends_in_one_record_and_one_event() {
    let Some(Scene {
        broker,
        proxy,
        test_env,
    }) = scene().await
    else {
        return;
    };
    let user = broker.user();
    for _ in 0..4 {
        user.upload("Product.image", JPEG, "image/jpeg").await;
    }
    let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
    let before = proxy.statements().len();
    user.confirm(staged.id()).await.expect(200);
    let statements = proxy.statements().len() - before;
    assert!(statements >= 8, "a read and two transactions");
    for nth in 1..=statements {
        for fault in faults() {
            let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
            proxy.rule(Trigger::Statement(""), nth, fault);
            let confirmed = confirm_within(&user, staged.id(), HEALED).await;
            assert!(proxy.clear(), "statement {nth} did not come");
            is_confirmed_once(&test_env, &confirmed, JPEG).await;
            create_within(&user, HEALED).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_with_a_lost_answer_is_read_back_before_the_response() {
    let Some(Scene {
        broker,
        proxy,
        test_env,
    }) = scene().await
    else {
        return;
    };
    let user = broker.user();
    user.upload("Product.image", JPEG, "image/jpeg").await;
    let mut records = StoredUploads::of(&test_env.database);
    let rows = records.uploads().len();
    proxy.rule(Trigger::Commit, 1, StatementFault::LoseAnswer);
    let created = user
        .create("Product.image", JPEG, "image/jpeg")
        .await
        .expect(201);
    assert!(proxy.clear());
    assert_eq!(records.uploads().len(), rows + 1, "once");
    user.put(&created, JPEG).await.expect(200);
    // The attempt's commit, then the record's.
    for commit in [1, 2] {
        let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
        proxy.rule(Trigger::Commit, commit, StatementFault::LoseAnswer);
        let confirmed = user.confirm(staged.id()).await.expect(200);
        assert!(proxy.clear());
        is_confirmed_once(&test_env, &confirmed, JPEG).await;
        assert_eq!(records.attempts(staged.id()).len(), 1, "one copy");
        proxy.rule(Trigger::Commit, 1, StatementFault::LoseAnswer);
        let path = format!("/v1/uploads/{}", staged.id());
        user.delete(&path).await.expect(204);
        assert!(proxy.clear());
        let kinds: Vec<_> = records
            .events(staged.id())
            .into_iter()
            .map(|it| it.kind)
            .collect();
        assert_eq!(kinds, ["upload.confirmed", "upload.deleted"]);
    }
}

/// Each kind of request gets a retryable 503 in time, and `/livez` answers.
async fn all_are_told(broker: &Broker, staged: &str, mode: Mode) {
    let (user, anyone) = (broker.user(), broker.anonymous());
    let in_time = |began: Instant, what: &str| {
        let took = began.elapsed();
        assert!(took < BOUND, "{mode:?}: {what} took {took:?}");
    };
    let began = Instant::now();
    let created = user.create("Product.image", JPEG, "image/jpeg").await;
    in_time(began, "create");
    created.expect_problem(503, "database-unavailable");
    for (what, answer) in [
        ("confirm", user.confirm(staged).await),
        ("read", user.read(staged).await),
        ("list", user.get("/v1/uploads").await),
    ] {
        is_retryable(&answer.expect_problem(503, "database-unavailable"));
        in_time(began, what);
    }
    // The cached result of the time before expires after a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    let ready = anyone.get("/readyz").await;
    in_time(began, "readyz");
    let ready = ready.expect_problem(503, "database-unavailable");
    assert_eq!(
        (&ready.json["database"], &ready.json["bucket"]),
        (&json!("down"), &json!("ok"))
    );
    let began = Instant::now();
    anyone.get("/livez").await.expect(200);
    assert!(began.elapsed() < Duration::from_secs(1), "livez waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn database_outage_answers_200_then_503_then_200() {
    let Some(Scene {
        broker,
        proxy,
        test_env,
    }) = scene().await
    else {
        return;
    };
    let (user, anyone) = (broker.user(), broker.anonymous());
    for mode in [Mode::Refuse, Mode::Reset, Mode::BlackHole] {
        let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
        anyone.get("/readyz").await.expect(200);
        proxy.network.set(mode);
        all_are_told(&broker, staged.id(), mode).await;
        if mode == Mode::Refuse {
            // Long enough that every pause between two tries to connect has grown to its longest.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        proxy.network.heal();
        let back = Instant::now();
        create_within(&user, HEALED).await;
        let confirmed = confirm_within(&user, staged.id(), HEALED).await;
        is_confirmed_once(&test_env, &confirmed, JPEG).await;
        while anyone.get("/readyz").await.status != 200 {
            assert!(back.elapsed() < HEALED, "{mode:?}: not ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_database_fails_reads_in_time_and_livez_still_answers() {
    let Some(scene) = scene().await else {
        return;
    };
    let Scene { broker, proxy, .. } = &scene;
    let (user, anyone) = (broker.user(), broker.anonymous());
    let id = create_within(&user, HEALED).await;
    user.read(&id).await.expect(200);
    proxy.network.set(Mode::Delay(Duration::from_secs(2)));
    let reads = futures::future::join_all((0..40).map(|_| async {
        let began = Instant::now();
        (user.read(&id).await, began.elapsed())
    }));
    let probes = async {
        for _ in 0..20 {
            let began = Instant::now();
            anyone.get("/livez").await.expect(200);
            let took = began.elapsed();
            assert!(took < Duration::from_millis(500), "livez took {took:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (reads, ()) = tokio::join!(reads, probes);
    for (answer, took) in reads {
        answer.expect_problem(503, "database-unavailable");
        assert!(
            took < Duration::from_millis(READ_WAIT_MS + 1_500),
            "{took:?}"
        );
    }
    proxy.network.heal();
    let end = Instant::now() + HEALED + Duration::from_secs(2);
    while user.read(&id).await.status != 200 {
        assert!(Instant::now() < end, "reads don't come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
