//! `bytepass fsck`: every kind of damage is found, and only unneeded objects are removed, on request.

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bucket::TestBucket;
use crate::support::rows::Rows;
use crate::support::s3_proxy::S3Proxy;
use crate::support::sweeps::a_year_ago;
use crate::support::test_env::TestEnv;

use super::once::dev::PNG;
use super::uploads::Desk;

const FIELD: &str = "Product.image";
/// A key as this broker makes them, of nobody.
const NOBODYS: &str = "media/products/0123456789abcdefghjkmnpqrstvwxyz.png";
/// Keys that this broker never makes.
const FOREIGN: [&str; 3] = [
    "media/cat.png",
    "media/products/cat.png",
    "media/elsewhere/0123456789abcdefghjkmnpqrstvwxyz.png",
];

async fn confirmed(user: &Api) -> (String, String) {
    let answer = user.upload(FIELD, PNG, "image/png").await.expect(200);
    (answer.id().to_owned(), key(&answer))
}

fn key(answer: &Answer) -> String {
    answer.json["key"].as_str().expect("a key").to_owned()
}

async fn remove(bucket: &TestBucket, key: &str) {
    let request = bucket.client.delete_object().bucket(&bucket.name).key(key);
    request.send().await.expect("it is removed");
}

/// What was found: damage, key and whether it was mended, in the order of the keys.
fn found(report: &Value) -> Vec<(String, String, bool)> {
    let findings = report["findings"].as_array().expect("findings");
    let mut found: Vec<_> = findings
        .iter()
        .map(|it| {
            let text = |name: &str| it[name].as_str().expect("a text").to_owned();
            (text("damage"), text("key"), it["fixed"] == true)
        })
        .collect();
    found.sort_by(|one, other| one.1.cmp(&other.1));
    found
}

fn sorted(mut expected: Vec<(&str, &str, bool)>) -> Vec<(String, String, bool)> {
    expected.sort_by_key(|it| it.1);
    let owned = |(damage, key, fixed): (&str, &str, bool)| (damage.into(), key.into(), fixed);
    expected.into_iter().map(owned).collect()
}

fn report(desk: &Desk, arguments: &[&str], code: i32) -> Value {
    let all = [&["fsck", "-o", "json"], arguments].concat();
    let outcome = desk.run(&all).expect(code);
    serde_json::from_str(&outcome.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn intact_system_has_no_findings_and_foreign_objects_are_ignored() {
    let test_env = TestEnv::new().await;
    let (broker, desk) = (test_env.broker().await, Desk::of(&test_env));
    let user = broker.user();
    for _ in 0..3 {
        confirmed(&user).await;
    }
    user.stage(FIELD, PNG, "image/png").await;
    user.create(FIELD, PNG, "image/png").await;
    let (deleted, _) = confirmed(&user).await;
    user.delete(&format!("/v1/uploads/{deleted}"))
        .await
        .expect(204);
    for key in FOREIGN {
        test_env.bucket.put(key, PNG, "image/png").await;
    }
    let fixed = report(&desk, &["--fix", "--yes"], 0);
    assert_eq!(
        (&fixed["found"], &fixed["foreign"]),
        (&json!(0), &json!(3)),
        "{fixed}"
    );
    assert_eq!(
        (&fixed["objects"], &fixed["records"]),
        (&json!(6), &json!(4))
    );
    for key in FOREIGN {
        assert!(test_env.bucket.head(key).await.is_some(), "{key}");
    }
    let text = desk.run(&["fsck"]).expect(0);
    assert!(text.stdout.contains("0 findings"), "{}", text.stdout);
    assert_eq!(text.stderr, "", "no progress without a terminal");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_damage_is_found_and_fix_removes_only_unneeded_objects() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let storage =
        json!({"endpoint": proxy.endpoint(), "public_endpoint": test_env.bucket.server.endpoint});
    let (broker, desk) = (
        test_env.broker().await,
        Desk::with(&test_env, json!({"storage": storage})),
    );
    let user = broker.user();
    let (_, whole) = confirmed(&user).await;
    let (_, missing) = confirmed(&user).await;
    let (_, shorter) = confirmed(&user).await;
    let (_, other) = confirmed(&user).await;
    let (deleted, back) = confirmed(&user).await;
    remove(&test_env.bucket, &missing).await;
    test_env.bucket.put(&shorter, b"short", "image/png").await;
    let swapped: Vec<u8> = PNG.iter().rev().copied().collect();
    test_env.bucket.put(&other, &swapped, "image/png").await;
    user.delete(&format!("/v1/uploads/{deleted}"))
        .await
        .expect(204);
    test_env.bucket.put(&back, PNG, "image/png").await;
    test_env.bucket.put(NOBODYS, PNG, "image/png").await;
    // The copy of an attempt that was given up.
    let given_up = NOBODYS.replace("0123", "3210");
    test_env.bucket.put(&given_up, PNG, "image/png").await;
    let name = given_up.trim_start_matches("media/");
    let now = crate::support::sweeps::moment(&test_env, 0);
    test_env.database.execute(&format!(
        "INSERT INTO seal_attempts (object_key, name, upload_id, state, started_at) \
         VALUES ('{given_up}', '{name}', '{deleted}', 'abandoned', '{now}')"
    ));

    let expected = |fixed: bool, old: bool| {
        sorted(vec![
            ("missing", &missing, false),
            ("changed", &shorter, false),
            ("changed", &other, false),
            ("leftover", &back, fixed),
            ("leftover", &given_up, fixed),
            ("unknown", NOBODYS, fixed && old),
        ])
    };
    let told = report(&desk, &[], 3);
    assert_eq!(found(&told), expected(false, false), "{told}");
    assert!(
        test_env.bucket.head(NOBODYS).await.is_some(),
        "nothing is removed unasked"
    );
    let line = desk.run(&["fsck", "--fix"]).expect_line(2);
    assert!(line.contains("--yes"), "{line}");

    let fixing = ["fsck", "--fix", "--unknown", "--yes", "-o", "json"];
    let fixed = desk.run(&fixing).expect(3);
    let log = &fixed.stderr;
    assert!(log.contains("manual action: fsck") && log.contains("command-line"));
    let fixed: Value = serde_json::from_str(&fixed.stdout).expect("JSON");
    assert_eq!(found(&fixed), expected(true, false), "{fixed}");
    assert!(
        test_env.bucket.head(NOBODYS).await.is_some(),
        "it is too young to be judged"
    );
    a_year_ago(&proxy);
    let fixed = report(&desk, &["--fix", "--unknown", "--yes"], 3);
    let left = sorted(vec![
        ("missing", &missing, false),
        ("changed", &shorter, false),
        ("changed", &other, false),
        ("unknown", NOBODYS, true),
    ]);
    assert_eq!(found(&fixed), left, "{fixed}");
    assert!(test_env.bucket.head(NOBODYS).await.is_none());
    for kept in [&whole, &shorter, &other] {
        assert!(test_env.bucket.head(kept).await.is_some(), "{kept}");
    }
    let table = desk.run(&["fsck"]).expect(3);
    assert!(
        table.stdout.contains("1 missing") && table.stdout.contains("2 changed"),
        "{}",
        table.stdout
    );
    assert!(
        table.stderr.contains("3 findings remain"),
        "{}",
        table.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unclear_answer_of_the_bucket_ends_the_run_without_a_finding() {
    let test_env = TestEnv::new().await;
    let (broker, rows) = (test_env.broker().await, Rows::of(&test_env));
    let (id, key) = confirmed(&broker.user()).await;
    drop(broker);
    let gone = json!({"storage": {"endpoint": "http://127.0.0.1:1", "attempt_timeout_ms": 500, "operation_timeout_ms": 1000}});
    let desk = Desk::with(&test_env, gone);
    let outcome = desk
        .run(&["fsck", "--fix", "--yes", "-o", "json"])
        .expect(1);
    let told: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(told["found"], 0, "{told}");
    assert!(
        told["error"]
            .as_str()
            .is_some_and(|it| it.contains("no clear answer")),
        "{told}"
    );
    assert!(test_env.bucket.head(&key).await.is_some());
    assert_eq!(rows.events(&id), ["1 upload.confirmed"]);
}
