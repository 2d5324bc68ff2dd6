//! Offline commands need an existing database: they create none and change no schema.

use serde_json::json;

use crate::support::test_env::TestEnv;

use super::uploads::Desk;

const BY_HAND: [&[&str]; 4] = [
    &["uploads", "ls"],
    &["sweep", "--once"],
    &["fsck", "--fix", "--yes"],
    &["webhooks", "ls"],
];

#[tokio::test(flavor = "multi_thread")]
async fn offline_commands_do_not_create_a_missing_database_file() {
    let test_env = TestEnv::new().await;
    let desk = Desk::with(
        &test_env,
        json!({"database": {"url": "sqlite://./nothere.sqlite"}}),
    );
    for command in BY_HAND {
        let line = desk.run(command).expect_line(1);
        assert!(
            line.contains("nothere.sqlite: not found"),
            "{command:?}: {line}"
        );
        assert_eq!(desk.files(), ["bytepass.toml"], "{command:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_commands_do_not_migrate_an_outdated_schema() {
    let test_env = TestEnv::new().await;
    let desk = Desk::of(&test_env);
    test_env
        .database
        .execute("CREATE TABLE of_others (id INTEGER)");
    for command in BY_HAND {
        let line = desk.run(command).expect_line(1);
        assert!(
            line.contains("lacks") && line.contains("bytepass migrate"),
            "{command:?}: {line}"
        );
    }
    // They didn't even make the table of what was applied: it can be made.
    let table = "__diesel_schema_migrations";
    test_env
        .database
        .execute(&format!("CREATE TABLE {table} (id INTEGER)"));
    test_env.database.execute(&format!("DROP TABLE {table}"));
    let applied = desk.run(&["migrate"]).expect(0).stdout;
    assert!(applied.starts_with("applied "), "{applied}");
    desk.run(&["uploads", "ls"]).expect(0);
    // The last migration is forgotten: a database of an older binary.
    test_env.database.execute(
        "DELETE FROM __diesel_schema_migrations \
         WHERE version = (SELECT max(version) FROM __diesel_schema_migrations)",
    );
    for command in BY_HAND {
        let line = desk.run(command).expect_line(1);
        assert!(line.contains("lacks 1 migration"), "{command:?}: {line}");
    }
}
