//! The plan of every statement is by index: of all that a whole life of the room issues, not only of those one thought of.

use diesel::connection::SimpleConnection as _;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};

use super::recorder::Recorder;
use super::scenario;
use crate::db::connection::AnyConnection;
use crate::db::tests::support::Rig;

/// Tables of a few rows, whatever the load: one for each field and status and slot, kind of work, endpoint.
const SMALL: [&str; 3] = ["upload_counts", "leases", "disabled_endpoints"];

/// The lines of a statement's plan, whatever its values are.
fn plan_of(conn: &mut AnyConnection, text: &str) -> Vec<String> {
    match conn {
        // A value that is not bound is null, and the planner looks at none.
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
            conn.batch_execute(&format!("PREPARE looked_at AS {text}"))
                .unwrap_or_else(|error| panic!("{error}: {text}"));
            let explain = format!("EXPLAIN (COSTS OFF) EXECUTE looked_at{nulls}");
            let lines: Vec<String> = sql::<Text>(&explain).load(conn).unwrap();
            conn.batch_execute("DEALLOCATE looked_at").unwrap();
            lines
        }
    }
}

/// What of a plan costs more the larger a table is: a scan from end to end, or a sort of more than is asked for.
fn faults(plan: &[String], text: &str) -> Vec<String> {
    let is_small = |line: &str| SMALL.iter().any(|table| line.contains(table));
    let sorts = |line: &str| line.contains("Sort") || line.contains("TEMP B-TREE FOR ORDER BY");
    let mut faults = Vec::new();
    for (n, line) in plan.iter().enumerate() {
        // On Postgres an index is walked from end to end unless a condition on it stands below, before the next node.
        let own = plan[n + 1..].iter().take_while(|it| !it.contains("->"));
        let has_condition = own.into_iter().any(|it| it.contains("Index Cond"));
        let walks = line.contains("Seq Scan")
            || (line.contains("Index") && line.contains("Scan") && !has_condition)
            || (line.starts_with("SCAN ") && !line.contains("CONSTANT ROW"))
            || line.contains("AUTOMATIC");
        if (walks && !is_small(line)) || (sorts(line) && text.contains("LIMIT")) {
            faults.push(line.trim().to_owned());
        }
    }
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_of_a_whole_life_is_by_index() {
    for rig in Rig::each() {
        let part = rig.url.split(['?']).next().unwrap().to_owned();
        let part = part
            .rsplit("//")
            .next()
            .unwrap()
            .rsplit('@')
            .next()
            .unwrap();
        let recorder = Recorder::of(part);
        scenario::live(&rig).await;
        let heard = recorder.heard();
        let conn = &mut rig.connect();
        if rig.is_postgres() {
            rig.execute(include_str!("fill.sql"));
            conn.batch_execute(
                "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_bitmapscan = off",
            )
            .unwrap();
        }
        for text in &heard {
            let plan = plan_of(conn, text);
            let f = faults(&plan, text);
            println!(
                "{} {text}\n    {}\n  {f:?}",
                if f.is_empty() { "OK" } else { "BAD" },
                plan.join("\n    ")
            );
        }
    }
}
