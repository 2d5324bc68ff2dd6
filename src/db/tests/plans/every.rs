//! Every statement of the module is planned by index: the scenario issues all of them, and each plan is checked.

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection as _;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};

use super::recorder::Recorder;
use super::scenario;
use crate::db::engine::connection::AnyConnection;
use crate::db::tests::support::Rig;

/// Tables with few rows under any load: one for each field, status and slot; each lease; each endpoint.
const SMALL: [&str; 3] = ["upload_counts", "leases", "disabled_endpoints"];

/// The lines of a statement's plan, for any values.
fn plan_of(conn: &mut AnyConnection, text: &str) -> Vec<String> {
    match conn {
        // An unbound value is null, and the planner reads no values.
        AnyConnection::Sqlite(conn) => {
            let explain = format!("EXPLAIN QUERY PLAN {text}");
            let lines: Vec<(i32, i32, i32, String)> =
                sql::<(Integer, Integer, Integer, Text)>(&explain)
                    .load(conn)
                    .unwrap();
            lines.into_iter().map(|line| line.3).collect()
        }
        AnyConnection::Postgres(conn) => {
            let values = (1..=64).take_while(|n| text.contains(&format!("${n}")));
            let nulls = vec!["NULL"; values.count()].join(", ");
            let nulls = match nulls.is_empty() {
                true => nulls,
                false => format!("({nulls})"),
            };
            conn.batch_execute(&format!("PREPARE explained AS {text}"))
                .unwrap_or_else(|error| panic!("{error}: {text}"));
            let explain = format!("EXPLAIN (COSTS OFF) EXECUTE explained{nulls}");
            let lines: Vec<String> = sql::<Text>(&explain).load(conn).unwrap();
            conn.batch_execute("DEALLOCATE explained").unwrap();
            lines
        }
    }
}

/// Statements that may scan or sort, each with the reason.
const EXCUSED: [(&str, &str); 8] = [
    (
        "FROM uploads ORDER BY uploads.id DESC LIMIT",
        "a page without a filter: reads the primary key in order until the page is full",
    ),
    (
        "uploads.object_id = ",
        "sorts the uploads of one record, which are few",
    ),
    (
        "FROM seal_attempts WHERE (seal_attempts.upload_id = ",
        "sorts the attempts of one upload, which its deadline bounds",
    ),
    (
        "FROM seal_attempts WHERE (((seal_attempts.upload_id = ",
        "the same, for abandoned attempts",
    ),
    (
        "AS compared GROUP BY",
        "the check of the counters compares every row with the counters, on a connection of its own",
    ),
    (
        "FROM owner_usage WHERE ((owner_usage.pending_count = ",
        "the pruner: an index for it would be written by every create",
    ),
    (
        "COUNT(*) FROM seal_attempts WHERE ((state = 'abandoned') IS TRUE",
        "counts the rows of an index that holds no others",
    ),
    (
        "WITH RECURSIVE endpoints",
        "walks over the endpoints, and finds each by index",
    ),
];

/// Whether the scanned rows come from another part of the statement.
fn is_of_the_statement(node: &str) -> bool {
    let parts = ["SCAN CONSTANT ROW", "SCAN due", "SCAN parts", "SCAN few"];
    parts.contains(&node) || node.ends_with("-ROW VALUES CLAUSE")
}

/// The nodes of a plan whose cost grows with a table: a scan from end to end, or a sort under a LIMIT.
fn faults(plan: &[String], text: &str) -> Vec<String> {
    let is_small = |line: &str| SMALL.iter().any(|table| line.contains(table));
    let mut faults = Vec::new();
    for (n, line) in plan.iter().map(|line| line.trim()).enumerate() {
        let node = line.trim_start_matches("->").trim();
        // On Postgres an index is scanned from end to end unless an index condition follows before the next node.
        let own = plan[n + 1..].iter().take_while(|it| !it.contains("->"));
        let has_condition = own.into_iter().any(|it| it.contains("Index Cond"));
        let walks = node.starts_with("Seq Scan")
            || (node.starts_with("Index") && node.contains("Scan") && !has_condition)
            || (node.starts_with("SCAN ") && !is_of_the_statement(node))
            || node.contains("AUTOMATIC");
        let sorts = node == "Sort" || node == "USE TEMP B-TREE FOR ORDER BY";
        if (walks && !is_small(node)) || (sorts && text.contains("LIMIT")) {
            faults.push(node.to_owned());
        }
    }
    faults
}

/// Statements, by a part of their text, with the index that they use on both databases.
const PINNED: [(&str, &str); 21] = [
    ("WITH due AS", "deliveries_due"),
    ("WITH due AS", "deliveries_order"),
    ("(deliveries.upload_id = ?)", "deliveries_order"),
    (
        "AND state = 'pending') ORDER BY deliveries.next_at",
        "deliveries_due",
    ),
    (
        "ORDER BY deliveries.event_id DESC LIMIT",
        "deliveries_state",
    ),
    (
        "GROUP BY deliveries.state, deliveries.endpoint",
        "deliveries_state",
    ),
    ("(deliveries.last_at < ?)", "deliveries_state"),
    (
        "WHERE (((seal_attempts.upload_id = ?)",
        "seal_attempts_upload",
    ),
    (
        "WHERE ((state = 'abandoned') IS TRUE",
        "seal_attempts_pending_deletion",
    ),
    ("MIN(COALESCE(sweep_after, expires_at))", "uploads_due"),
    ("ORDER BY uploads.object_key LIMIT", "uploads_object"),
    ("uploads.last_problem FROM uploads", "uploads_pkey"),
    ("FROM grants WHERE (grants.expires_at <=", "grants_expiry"),
    (
        "idempotency_keys.key FROM idempotency_keys",
        "idempotency_keys_expiry",
    ),
    ("ORDER BY upload_log.entry DESC", "upload_log_pkey"),
    (
        "events.upload_id, events.type FROM events WHERE",
        "events_pkey",
    ),
    ("FROM uploads WHERE id >= parts.column1", "uploads_pkey"),
    ("FROM uploads WHERE field = parts.column1", "uploads_field"),
    (
        "WHERE status = 'pending' AND id >= parts.column1",
        "uploads_status",
    ),
    ("COUNT(sweep_after)", "uploads_due"),
    (
        "(uploads.owner = ?) AND (uploads.created_at < ?)",
        "uploads_owner",
    ),
];

/// The text in a form common to both databases: names without quotes, `?` for values.
fn plain(text: &str) -> String {
    let text = text.replace(['`', '"'], "");
    let mut parts = text.split('$');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push('?');
        plain.push_str(part.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    }
    plain
}

async fn statements_of(rig: &Rig) -> Vec<String> {
    let place = rig.url.split('?').next().unwrap();
    let place = place.rsplit(['@']).next().unwrap();
    let recorder = Recorder::of(place.trim_start_matches("sqlite://"));
    scenario::run(rig).await;
    let mut statements = recorder.statements();
    statements.retain(|text| !text.contains("pragma_"));
    statements
}

/// Whether a line of a plan names the index; that of a primary key has another name on SQLite.
fn is_by(line: &str, index: &str) -> bool {
    let of_key = index.strip_suffix("_pkey");
    line.contains(index)
        || of_key.is_some_and(|table| line.contains(&format!("sqlite_autoindex_{table}_1")))
}

/// A connection whose plans are those for many rows.
fn planner(rig: &Rig) -> AnyConnection {
    let mut conn = rig.connect();
    if rig.is_postgres() {
        rig.execute(include_str!("fill.sql"));
        // Plans for any values, with a scan only where no index can be used.
        conn.batch_execute(
            "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_bitmapscan = off",
        )
        .unwrap();
    }
    conn
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_of_the_scenario_uses_an_index() {
    let mut excused = BTreeSet::new();
    for rig in Rig::each() {
        let statements = statements_of(&rig).await;
        assert!(statements.len() > 80, "{}", statements.len());
        let conn = &mut planner(&rig);
        let (mut wrong, mut pinned) = (String::new(), BTreeSet::new());
        for text in &statements {
            let (plan, text) = (plan_of(conn, text), plain(text));
            let shown = format!("{text}\n    {}\n", plan.join("\n    "));
            if !faults(&plan, &text).is_empty() {
                match EXCUSED.iter().find(|(part, _)| text.contains(part)) {
                    Some((part, _)) => _ = excused.insert(part),
                    None => wrong += &shown,
                }
            }
            for (part, index) in PINNED.iter().filter(|(part, _)| text.contains(part)) {
                pinned.insert((part, index));
                if !plan.iter().any(|line| is_by(line, index)) {
                    wrong += &format!("not by {index}: {shown}");
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
        let never = PINNED
            .iter()
            .filter(|(part, index)| !pinned.contains(&(part, index)));
        assert_eq!(never.collect::<Vec<_>>(), Vec::<&(&str, &str)>::new());
    }
    let needed = EXCUSED.iter().filter(|(part, _)| excused.contains(part));
    assert_eq!(needed.count(), EXCUSED.len(), "only {excused:?}");
}

/// The plans of a method that the scenario does not call would not be checked.
#[test]
fn scenario_calls_every_method_of_db() {
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/src/db");
    let scenario = [
        include_str!("scenario.rs"),
        include_str!("scenario_reads.rs"),
    ]
    .concat();
    let mut methods = 0;
    for file in walkdir::WalkDir::new(module) {
        let file = file.unwrap();
        let is_test = file.path().components().any(|it| it.as_os_str() == "tests");
        if is_test || !file.file_type().is_file() {
            continue;
        }
        let text = std::fs::read_to_string(file.path()).unwrap();
        for method in text.split("\n    pub async fn ").skip(1) {
            let name = method.split(['(', '<']).next().unwrap();
            // By the method itself, or by a helper of the tests.
            let helper = if name == "confirm" { "record" } else { name };
            let calls = [format!("db.{name}("), format!("{helper}(db")];
            assert!(calls.iter().any(|it| scenario.contains(it)), "{name}");
            methods += 1;
        }
    }
    assert!(methods > 30, "{methods}");
}
