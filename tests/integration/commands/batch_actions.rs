//! `uploads confirm`, `expire` and `delete` with partial failures: they report only what is certain.

use hyper::Method;
use serde_json::json;

use crate::support::bucket::TestBucket;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::test_env::TestEnv;
use crate::support::upload_rows::StoredUploads;

use super::offline::desk_behind_proxy;
use super::once::dev::PNG;
use super::uploads::Desk;

#[tokio::test(flavor = "multi_thread")]
async fn result_is_reported_even_if_the_last_problem_is_unreadable() {
    let test_env = TestEnv::new().await;
    let (broker, desk) = (test_env.broker().await, Desk::of(&test_env));
    let (user, ops) = (broker.user(), broker.ops());
    let by_http = user.stage("Product.image", PNG, "image/png").await;
    let by_hand = user.stage("Product.image", PNG, "image/png").await;
    let absent = user.create("Product.image", PNG, "image/png").await;
    // All other reads and writes work.
    StoredUploads::of(&test_env.database)
        .execute("ALTER TABLE uploads RENAME COLUMN last_problem TO gone");
    for (verb, id, status) in [
        ("recheck", by_http.id(), "confirmed"),
        ("expire", absent.id(), "expired"),
    ] {
        let answer = ops.post_empty(&format!("/v1/uploads/{id}/{verb}")).await;
        let view = answer.expect(200).json;
        assert_eq!(view["status"], status, "{verb}");
        assert_eq!(view.get("last_problem"), None, "{verb}");
    }
    let confirm = ["uploads", "confirm", by_hand.id()];
    let table = desk.run(&confirm).expect(0).stdout;
    assert!(table.contains("confirmed"), "{table}");
    let told = desk.json(&confirm);
    assert_eq!(told["data"][0]["upload"]["status"], "confirmed", "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_of_another_bucket_is_reported_and_its_object_stays() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let done = user.upload("Product.image", PNG, "image/png").await;
    let pending = user.create("Product.image", PNG, "image/png").await;
    let elsewhere = TestBucket::at(test_env.bucket.server.clone(), "another-bucket");
    let desk = Desk::with(&test_env, json!({"storage": {"bucket": elsewhere.name}}));
    let lies = format!(
        "its bucket {} is not the configured one",
        test_env.bucket.name
    );
    for verb in [&["confirm"][..], &["expire", "--yes"]] {
        let outcome = desk.run(&[&["uploads"], verb, &[pending.id()]].concat());
        let told = outcome.expect(1).stdout;
        assert!(told.contains(&lies) && told.contains("unchanged"), "{told}");
        assert!(!told.contains("no clear answer"), "{told}");
    }
    let delete = ["uploads", "delete", "--yes", done.id()];
    let told = desk.run(&delete).expect(0).stdout;
    assert!(told.contains(&lies) && told.contains("deleted"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_reports_whether_the_object_is_still_to_be_removed() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (desk, proxy) = desk_behind_proxy(&test_env);
    let user = broker.user();
    let done = user.upload("Product.image", PNG, "image/png").await;
    let pending = user.create("Product.image", PNG, "image/png").await;
    let removal = RequestMatch::method(Method::DELETE);
    proxy.rule(removal, Action::Answer(500, "InternalError"));
    let delete = ["uploads", "delete", "--yes", done.id(), pending.id()];
    let told = desk.run(&delete).expect(0).stdout;
    assert!(told.contains("deleted"), "{told}");
    assert_eq!(told.matches("still to be removed").count(), 1, "{told}");
    let told = desk.json(&delete);
    assert_eq!(told["data"][0]["object_removed"], false, "{told}");
    assert_eq!(told["data"][1].get("object_removed"), None, "{told}");
    proxy.clear();
    let told = desk.json(&delete);
    assert_eq!(told["data"][0]["object_removed"], true, "{told}");
}
