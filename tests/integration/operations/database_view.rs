//! `upload_v1`: the view of the database that other programs read.

use serde_json::{Value, json};

use crate::support::rows::Rows;
use crate::support::statuses;
use crate::support::test_env::TestEnv;

/// Each column, and what it holds on Postgres; SQLite has integers and text.
const COLUMNS: [(&str, &str); 21] = [
    ("id", "text"),
    ("status", "text"),
    ("field", "text"),
    ("owner", "text"),
    ("object_id", "text"),
    ("bucket", "text"),
    ("key", "text"),
    ("name", "text"),
    ("filename", "text"),
    ("content_type", "text"),
    ("size", "bigint"),
    ("checksum_algorithm", "text"),
    ("checksum_value", "text"),
    ("etag", "text"),
    ("created_at", "timestamp with time zone"),
    ("expires_at", "timestamp with time zone"),
    ("confirmed_at", "timestamp with time zone"),
    ("confirmed_by", "text"),
    ("attached_at", "timestamp with time zone"),
    ("detached_at", "timestamp with time zone"),
    ("object_removed_at", "timestamp with time zone"),
];

fn is_postgres(test_env: &TestEnv) -> bool {
    test_env.database.url().starts_with("postgres")
}

#[tokio::test]
async fn upload_view_has_the_same_columns_of_plain_types_on_both_databases() {
    let test_env = TestEnv::new().await;
    let _migrated = test_env.broker().await;
    let rows = Rows::of(&test_env);
    if is_postgres(&test_env) {
        let found = rows.lines(
            "SELECT column_name || ' ' || data_type AS line FROM information_schema.columns \
             WHERE table_name = 'upload_v1' ORDER BY ordinal_position",
        );
        let expected = COLUMNS.map(|(name, kind)| format!("{name} {kind}"));
        assert_eq!(found, expected);
    } else {
        let found = rows.lines(
            "SELECT name || ' ' || lower(type) AS line FROM pragma_table_info('upload_v1') ORDER BY cid",
        );
        let expected = COLUMNS.map(|(name, kind)| {
            let kind = if kind == "bigint" { "integer" } else { "text" };
            format!("{name} {kind}")
        });
        assert_eq!(found, expected);
    }
}

/// The view's row of this upload as text, column by column; times as RFC 3339.
fn row(test_env: &TestEnv, id: &str) -> Vec<(&'static str, Value)> {
    let rows = Rows::of(test_env);
    let read = |(name, kind): (&'static str, &'static str)| {
        let value = match (kind, is_postgres(test_env)) {
            ("timestamp with time zone", true) => {
                format!("to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')")
            }
            ("timestamp with time zone", false) => format!("replace({name}, ' ', 'T')"),
            _ => format!("CAST({name} AS text)"),
        };
        let sql =
            format!("SELECT COALESCE({value}, 'null') AS line FROM upload_v1 WHERE id = '{id}'");
        let found = rows.lines(&sql).remove(0);
        let value = if found == "null" {
            Value::Null
        } else {
            json!(found)
        };
        (name, value)
    };
    COLUMNS.into_iter().map(read).collect()
}

#[tokio::test]
async fn upload_view_in_every_status_agrees_with_the_api() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    for (status, id) in statuses::in_every_status(&test_env, &user).await {
        let from_api = user.read(&id).await.expect(200).json;
        for (name, found) in row(&test_env, &id) {
            let expected = match name {
                "checksum_algorithm" => from_api["checksum"]["algorithm"].clone(),
                "checksum_value" => from_api["checksum"]["value"].clone(),
                "size" => json!(from_api["size"].to_string()),
                // Not shown by the API.
                "object_removed_at" => {
                    let gone = ["rejected", "deleted"].contains(&status.as_str());
                    assert_eq!(!found.is_null(), gone, "{status}: {found}");
                    continue;
                }
                name if name.ends_with("_at") => {
                    let (found, from_api) = (found.as_str(), from_api[name].as_str());
                    let from_api = from_api.map(|at| at.trim_end_matches('Z'));
                    let same = match (found, from_api) {
                        (Some(found), Some(from_api)) => found.starts_with(from_api),
                        (found, from_api) => found == from_api,
                    };
                    assert!(same, "{status} {name}: {found:?} and {from_api:?}");
                    continue;
                }
                name => from_api[name].clone(),
            };
            assert_eq!(found, expected, "{status} {name}");
        }
    }
    let rows = Rows::of(&test_env);
    let count = rows.lines("SELECT CAST(count(*) AS text) AS line FROM upload_v1");
    assert_eq!(count, ["8"]);
}
