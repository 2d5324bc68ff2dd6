//! Offline commands with `--data-dir`: on the data folder of a `bytepass dev`.

use serde_json::{Value, json};

use crate::support::broker_process::{BrokerProcess, free_address};
use crate::support::command::{Outcome, bytepass};
use crate::support::test_env::TestEnv;
use crate::support::upload_steps::staging_key;

use super::once::dev::PNG;

const FIELD: &str = "Product.image";

fn on(broker: &BrokerProcess, arguments: &[&str]) -> Outcome {
    let all = [arguments, &["--data-dir", "data"]].concat();
    bytepass(broker.folder(), &all, &[])
}

#[tokio::test]
async fn commands_work_on_the_database_and_the_running_bucket_of_a_dev_folder() {
    let broker = BrokerProcess::dev();
    let user = broker.api("user");
    let staged = user.stage("Product.image", PNG, "image/png").await;
    let listed = on(&broker, &["uploads", "ls", "-o", "json"]).expect(0);
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    assert_eq!(listed["data"][0]["id"], staged.id());
    on(&broker, &["uploads", "confirm", staged.id()]).expect(0);
    assert_eq!(user.read(staged.id()).await.json["status"], "confirmed");
    on(&broker, &["sweep", "--once"]).expect(0);
    let looked = on(&broker, &["fsck"]).expect(0).stdout;
    assert!(looked.contains("1 object and 1 record "), "{looked}");
    on(&broker, &["webhooks", "ls"]).expect(0);

    let there = broker.bucket_url().trim_start_matches("http://").to_owned();
    let elsewhere = free_address().to_string();
    let line = on(&broker, &["fsck", "--bucket-listen", &elsewhere]).expect_line(1);
    assert!(
        line.contains(&elsewhere) && line.contains("bytepass dev"),
        "{line}"
    );
    on(&broker, &["fsck", "--bucket-listen", &there]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_dir_wins_over_an_environment_for_another_system() {
    let test_env = TestEnv::new().await;
    let elsewhere = test_env.broker().await;
    let owed = elsewhere.user().stage(FIELD, PNG, "image/png").await;
    let mine = BrokerProcess::dev();
    let staged = mine.api("user").stage(FIELD, PNG, "image/png").await;
    test_env
        .database
        .execute("UPDATE uploads SET status = 'rejected'");
    let settings = test_env.configured(json!({}));
    let file = settings.path().join("bytepass.toml");
    let (url, server) = (test_env.database.url(), &test_env.bucket.server);
    let env = [
        ("BYTEPASS_CONFIG", file.to_str().expect("a path")),
        ("BYTEPASS_DATABASE_URL", &url),
        ("BYTEPASS_STORAGE_ENDPOINT", &server.endpoint),
        ("BYTEPASS_STORAGE_BUCKET", &test_env.bucket.name),
        ("BYTEPASS_STORAGE_ACCESS_KEY_ID", &server.access_key),
        ("BYTEPASS_STORAGE_SECRET_ACCESS_KEY", &server.secret_key),
    ];
    let run = |arguments: &[&str]| {
        let all = [arguments, &["--data-dir", "data"]].concat();
        bytepass(mine.folder(), &all, &env)
    };
    let listed = run(&["uploads", "ls"]).expect(0).stdout;
    assert!(listed.contains(staged.id()) && !listed.contains(owed.id()));
    run(&["uploads", "confirm", staged.id()]).expect(0);
    let looked = run(&["fsck", "--fix", "--yes"]).expect(0).stdout;
    assert!(looked.contains("1 object and 1 record "), "{looked}");
    run(&["sweep", "--once"]).expect(0);
    let there = staging_key(owed.id());
    assert!(test_env.bucket.head(&there).await.is_some(), "not swept");
    // Without --data-dir the same environment leads to the other system.
    bytepass(mine.folder(), &["sweep", "--once"], &env).expect(0);
    assert!(test_env.bucket.head(&there).await.is_none());
    // A configuration file adds fields, but can't name another database or bucket.
    let toml = format!(
        "[database]\nurl = \"{url}\"\n[fields.\"Other.file\"]\nupload_to = \"other/\"\ncontent_types = [\"image/png\"]\nmax_size = \"1 MiB\"\nvisibility = \"private\"\n"
    );
    std::fs::write(mine.folder().join("dev.toml"), toml).expect("a file");
    let listed = run(&["uploads", "ls", "--config", "dev.toml"]);
    assert!(listed.expect(0).stdout.contains(staged.id()));
    let unknown = run(&["uploads", "ls", "--config", "no.toml"]).expect(2);
    assert!(unknown.stderr.contains("no.toml"), "{}", unknown.stderr);
}

#[tokio::test]
async fn without_the_bucket_only_commands_on_the_database_work() {
    let mut broker = BrokerProcess::dev();
    let user = broker.api("user");
    let staged = user.stage("Product.image", PNG, "image/png").await;
    broker.kill();
    for rows in [&["uploads", "ls"][..], &["uploads", "show", staged.id()]] {
        let told = on(&broker, rows).expect(0).stdout;
        assert!(told.contains(staged.id()), "{told}");
    }
    let confirm = ["uploads", "confirm", staged.id()];
    for work in [&confirm[..], &["sweep", "--once"], &["fsck"]] {
        let line = on(&broker, work).expect_line(1);
        let bucket = broker.bucket_url().trim_start_matches("http://");
        assert!(
            line.contains(bucket) && line.contains("bytepass dev"),
            "{line}"
        );
    }
}

#[test]
fn folder_that_dev_has_not_used_is_refused_and_unchanged() {
    let folder = super::folder();
    let line = bytepass(folder.path(), &["uploads", "ls", "--data-dir", "x"], &[]).expect_line(1);
    assert!(line.contains("bytepass dev"), "{line}");
    let lone = ["uploads", "ls", "--bucket-listen", "127.0.0.1:9000"];
    let told = bytepass(folder.path(), &lone, &[]).expect(2).stderr;
    assert!(told.contains("--data-dir"), "{told}");
    let files = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(files, 0);
}
