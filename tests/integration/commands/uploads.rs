//! `bytepass uploads` and `bytepass sweep`: offline commands while brokers run.

use serde_json::Value;

use crate::support::command::{Outcome, bytepass};
use crate::support::rows::Rows;
use crate::support::sweeps::overdue;
use crate::support::test_env::TestEnv;

use super::once::dev::PNG;

/// A folder with the configuration of this world.
pub(super) struct Desk(tempfile::TempDir);

impl Desk {
    pub(super) fn of(test_env: &TestEnv) -> Desk {
        Desk::with(test_env, serde_json::json!({}))
    }

    /// The same with other settings.
    pub(super) fn with(test_env: &TestEnv, change: Value) -> Desk {
        Desk(test_env.configured(change))
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Outcome {
        let all = [arguments, &["--config", "bytepass.toml"]].concat();
        bytepass(self.0.path(), &all, &[])
    }

    /// The names of what lies in the folder.
    pub(super) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("a folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.expect("an entry").file_name();
            name.into_string().expect("a text")
        };
        entries.map(name).collect()
    }

    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        self.json_and(0, arguments)
    }

    /// What a command prints that ends with this code.
    pub(super) fn json_and(&self, code: i32, arguments: &[&str]) -> Value {
        let outcome = self
            .run(&[arguments, &["-o", "json"]].concat())
            .expect(code);
        serde_json::from_str(&outcome.stdout).expect("JSON")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ls_filters_and_pages_and_show_prints_all_members_of_the_api() {
    let test_env = TestEnv::new().await;
    let (broker, desk) = (test_env.broker().await, Desk::of(&test_env));
    let user = broker.user();
    let first = user.create("Product.image", PNG, "image/png").await;
    let second = user.create("ProductImage.image", PNG, "image/png").await;
    let page = desk.json(&["uploads", "ls", "--limit", "1"]);
    assert_eq!(page["data"][0]["id"], second.id());
    let before = page["next_before"].as_str().expect("there are more");
    let rest = desk.json(&["uploads", "ls", "--before", before]);
    assert_eq!(rest["data"][0]["id"], first.id());
    assert_eq!(rest["next_before"], Value::Null);
    let of_field = desk.json(&["uploads", "ls", "--field", "Product.image"]);
    assert_eq!(of_field["data"].as_array().map(Vec::len), Some(1));
    for none in [
        ["--status", "confirmed"],
        ["--older-than", "1h"],
        ["--owner", "user:9"],
    ] {
        let listed = desk.json(&[&["uploads", "ls"][..], &none].concat());
        assert_eq!(listed["data"], serde_json::json!([]), "{none:?}");
    }
    let mut shown = desk.json(&["uploads", "show", first.id()]);
    let timeline = shown.as_object_mut().and_then(|it| it.remove("timeline"));
    assert_eq!(shown, broker.ops().read(first.id()).await.json);
    let path = format!("/v1/uploads/{}/timeline", first.id());
    let told = broker.ops().get(&path).await.json["data"].take();
    assert_eq!(timeline, Some(told));
    assert_eq!(rest["data"][0], shown);
    let table = desk.run(&["uploads", "ls"]).expect(0).stdout;
    let heads = table.lines().next().expect("a head");
    assert!(
        heads.starts_with("ID ") && heads.contains("STATUS"),
        "{table}"
    );
    assert_eq!(table.lines().count(), 3, "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn confirm_expire_and_delete_print_the_status_afterwards() {
    let test_env = TestEnv::new().await;
    let (broker, desk) = (test_env.broker().await, Desk::of(&test_env));
    let user = broker.user();
    let there = user.stage("Product.image", PNG, "image/png").await;
    let absent = user.create("Product.image", PNG, "image/png").await;
    let status = |id: &str| {
        let shown = desk.json(&["uploads", "show", id]);
        shown["status"]
            .as_str()
            .map(str::to_owned)
            .expect("a status")
    };
    let both = ["uploads", "confirm", there.id(), absent.id()];
    let confirmed = desk.json_and(4, &both);
    assert_eq!(confirmed["data"][0]["upload"]["status"], "confirmed");
    assert_eq!(confirmed["data"][0]["upload"]["confirmed_by"], "sweeper");
    assert_eq!(confirmed["data"][1]["upload"]["status"], "pending");
    let table = desk.run(&["uploads", "confirm", absent.id()]).expect(4);
    let told = &table.stdout;
    assert!(
        told.contains("the bucket does not have the object yet"),
        "{told}"
    );
    let lie = user.create("Product.image", PNG, "image/png").await;
    crate::support::upload_steps::plant(&test_env.bucket, lie.id(), b"not what was declared", None)
        .await;
    let table = desk.run(&["uploads", "confirm", lie.id()]).expect(4);
    let told = &table.stdout;
    let errors = &desk.json(&["uploads", "show", lie.id()])["errors"];
    let why = errors[0]["detail"].as_str().expect("a difference");
    assert!(told.contains("rejected") && told.contains(why), "{told}");

    let late = user.stage("Product.image", PNG, "image/png").await;
    let line = desk.run(&["uploads", "expire", absent.id()]).expect_line(2);
    assert!(line.contains("--yes"), "{line}");
    assert_eq!(status(absent.id()), "pending");
    let expire = ["uploads", "expire", "--yes", absent.id(), late.id()];
    let table = desk.run(&expire).expect(0).stdout;
    assert!(
        table.contains("expired") && table.contains("confirmed"),
        "{table}"
    );
    assert_eq!(status(absent.id()), "expired");
    assert_eq!(
        status(late.id()),
        "confirmed",
        "what has arrived is not lost"
    );
    let rows = Rows::of(&test_env);
    assert_eq!(rows.events(absent.id()), ["1 upload.expired"]);
    user.confirm(absent.id())
        .await
        .expect_problem(410, "upload-expired");

    desk.run(&["uploads", "delete", "--yes", there.id()])
        .expect(0);
    assert_eq!(status(there.id()), "deleted");
    let key = confirmed["data"][0]["upload"]["key"]
        .as_str()
        .expect("a key");
    assert_eq!(test_env.bucket.get(key).await, None);
    let unknown = "upl_00000000000000000000000000";
    let outcome = desk.run(&["uploads", "delete", "--yes", unknown]).expect(1);
    assert!(outcome.stdout.contains("the upload does not exist"));
    assert!(outcome.stderr.contains("1 of 1 uploads failed"));
    let line = desk.run(&["uploads", "show", "upl_x"]).expect(2).stderr;
    assert!(line.contains("must be an upload's id"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_once_does_due_work_and_dry_run_only_lists_it() {
    let test_env = TestEnv::new().await;
    let (broker, desk) = (test_env.broker().await, Desk::of(&test_env));
    let user = broker.user();
    let there = user.stage("Product.image", PNG, "image/png").await;
    let absent = user.create("Product.image", PNG, "image/png").await;
    overdue(&test_env, 60);
    let told = desk.run(&["sweep", "--once", "--dry-run"]).expect(0).stdout;
    assert!(
        told.contains(there.id()) && told.contains(absent.id()),
        "{told}"
    );
    assert_eq!(user.read(there.id()).await.json["status"], "pending");
    let swept = desk.json(&["sweep", "--once", "--kind", "pending"]);
    let counts = &swept["kinds"][0]["counts"];
    assert_eq!(
        (&counts["found"], &counts["confirmed"], &counts["expired"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert_eq!(user.read(there.id()).await.json["confirmed_by"], "sweeper");
    assert_eq!(user.read(absent.id()).await.json["status"], "expired");
    let again = desk.run(&["sweep", "--once"]).expect(0);
    // Without a terminal there is no progress line, only the log line with the operator.
    assert_eq!(again.stderr.lines().count(), 1, "{}", again.stderr);
    assert!(again.stderr.contains("command-line"), "{}", again.stderr);
    let again = again.stdout;
    assert_eq!(again.lines().count(), 7, "{again}");
    let line = desk.run(&["sweep"]).expect(2).stderr;
    assert!(line.contains("--once"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_recheck_and_expire_over_http_without_losing_objects() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (user, ops) = (broker.user(), broker.ops());
    let act = async |verb: &str, id: &str| {
        let answer = ops.post_empty(&format!("/v1/uploads/{id}/{verb}")).await;
        answer.expect(200).json["status"].clone()
    };
    let absent = user.create("Product.image", PNG, "image/png").await;
    assert_eq!(act("recheck", absent.id()).await, "pending");
    assert_eq!(act("expire", absent.id()).await, "expired");
    assert_eq!(act("expire", absent.id()).await, "expired", "asked again");
    for verb in ["recheck", "expire"] {
        let staged = user.stage("Product.image", PNG, "image/png").await;
        assert_eq!(act(verb, staged.id()).await, "confirmed");
        assert_eq!(user.read(staged.id()).await.json["confirmed_by"], "sweeper");
    }
    let rows = Rows::of(&test_env);
    assert_eq!(rows.events(absent.id()), ["1 upload.expired"]);
}

#[test]
fn missing_configuration_error_names_the_option() {
    let folder = super::folder();
    let outcome = bytepass(folder.path(), &["uploads", "ls"], &[]).expect(2);
    assert!(
        outcome.stderr.contains("--config FILE"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn completions_are_printed_for_common_shells() {
    let folder = super::folder();
    for shell in ["bash", "zsh", "fish"] {
        let script = bytepass(folder.path(), &["completions", shell], &[]).expect(0);
        assert!(script.stdout.contains("uploads"), "{shell}");
        assert_eq!(script.stderr, "");
    }
}
