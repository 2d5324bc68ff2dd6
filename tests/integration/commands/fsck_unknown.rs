//! `bytepass fsck --fix` on a database that isn't the bucket's, or no longer whole: what it doesn't know of is not removed.

use serde_json::{Value, json};

use crate::support::rows::Rows;
use crate::support::s3_proxy::S3Proxy;
use crate::support::sweeps::a_year_ago;
use crate::support::test_env::TestEnv;

use super::once::dev::PNG;
use super::uploads::Desk;

const FIX: [&str; 6] = ["fsck", "--fix", "--unknown", "--yes", "-o", "json"];

/// A bucket of this world that says of every object that it is old, and so many confirmed uploads in it: their keys.
async fn confirmed(test_env: &TestEnv, count: usize) -> (S3Proxy, Vec<String>) {
    let broker = test_env.broker().await;
    let user = broker.user();
    let mut keys = Vec::new();
    for _ in 0..count {
        let upload = user.upload("Product.image", PNG, "image/png").await;
        let view = upload.expect(200).json;
        keys.push(view["key"].as_str().expect("a key").to_owned());
    }
    let proxy = S3Proxy::before(&test_env.bucket);
    a_year_ago(&proxy);
    (proxy, keys)
}

fn desk(test_env: &TestEnv, proxy: &S3Proxy, database: Value) -> Desk {
    let storage =
        json!({"endpoint": proxy.endpoint(), "public_endpoint": test_env.bucket.server.endpoint});
    Desk::with(test_env, json!({"storage": storage, "database": database}))
}

/// How many of these objects the bucket still has.
async fn there(test_env: &TestEnv, keys: &[String]) -> usize {
    let mut there = 0;
    for key in keys {
        there += usize::from(test_env.bucket.head(key).await.is_some());
    }
    there
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_removes_no_object_and_says_that_it_records_none() {
    let test_env = TestEnv::new().await;
    let (proxy, keys) = confirmed(&test_env, 2).await;
    let wrong = desk(&test_env, &proxy, json!({"url": "sqlite://./wrong.sqlite"}));
    wrong.run(&["migrate"]).expect(0);
    let outcome = wrong.run(&FIX).expect(3);
    assert_eq!(there(&test_env, &keys).await, 2, "{outcome:?}");
    let line = &outcome.stderr;
    assert!(
        line.contains("2 unknown objects are kept") && line.contains("records no object"),
        "{line}"
    );
    let told: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!((&told["found"], &told["fixed"]), (&json!(2), &json!(0)));
    assert!(told["kept"].is_string(), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_objects_go_only_while_they_are_no_more_than_the_recorded_ones() {
    let test_env = TestEnv::new().await;
    let (proxy, keys) = confirmed(&test_env, 4).await;
    let desk = desk(&test_env, &proxy, json!({}));
    let forget = |key: &str| {
        Rows::of(&test_env).change_one(&format!(
            "UPDATE uploads SET bucket = 'another' WHERE object_key = '{key}'"
        ));
        test_env.database.execute(&format!(
            "DELETE FROM seal_attempts WHERE object_key = '{key}'"
        ));
    };
    // The database forgets three of four, as one does that is older than its bucket.
    forget(&keys[0]);
    forget(&keys[1]);
    forget(&keys[2]);
    let outcome = desk.run(&FIX).expect(3);
    assert_eq!(there(&test_env, &keys).await, 4, "{outcome:?}");
    let line = &outcome.stderr;
    assert!(
        line.contains("3 unknown objects are kept") && line.contains("records only 1 objects"),
        "{line}"
    );
    // With as many on either side they go.
    Rows::of(&test_env).change_one(&format!(
        "UPDATE uploads SET bucket = '{}' WHERE object_key = '{}'",
        test_env.bucket.name, keys[2]
    ));
    desk.run(&["fsck", "--fix", "--yes"]).expect(3);
    assert_eq!(
        there(&test_env, &keys).await,
        4,
        "only when they are asked for"
    );
    let outcome = desk.run(&FIX).expect(0);
    let told: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!((&told["fixed"], &told["kept"]), (&json!(2), &Value::Null));
    assert_eq!(there(&test_env, &keys[..2]).await, 0);
    assert_eq!(there(&test_env, &keys[2..]).await, 2);
}
