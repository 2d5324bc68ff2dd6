//! `bytepass sweep --once` on a bucket that fails: the unfinished work is reported, also by the exit code.

use hyper::Method;
use serde_json::json;

use crate::support::s3_proxy::S3Proxy;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::sweeps::{a_year_ago, begin_multipart, unfinished};
use crate::support::test_env::TestEnv;
use crate::support::upload_steps::staging_key;

use super::once::dev::PNG;
use super::uploads::Desk;

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_the_bucket_cut_short_says_so_and_ends_with_one_and_over_http_there_is_more() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let change = json!({"storage": {
        "endpoint": proxy.endpoint(), "public_endpoint": test_env.bucket.server.endpoint,
    }});
    let (broker, desk) = (
        test_env.broker_with(change.clone()).await,
        Desk::with(&test_env, change),
    );
    let upload = broker.user().stage("Product.image", PNG, "image/png").await;
    test_env
        .database
        .execute("UPDATE uploads SET status = 'rejected'");
    let silent = RequestMatch::method(Method::DELETE);
    proxy.rule(silent, Action::Answer(503, "SlowDown"));
    let owed = ["sweep", "--once", "--kind", "owed"];
    let outcome = desk.run(&owed).expect(1);
    assert!(
        outcome.stdout.contains("no clear answer") && outcome.stderr.contains("1 of 1 kinds"),
        "{outcome:?}"
    );
    let told = broker.ops().post_empty("/v1/ops/sweep").await.expect(200);
    let kinds = told.json["data"].as_array().expect("kinds").iter();
    let more: Vec<_> = kinds.map(|it| (&it["kind"], &it["more"])).collect();
    assert!(more.contains(&(&json!("owed"), &json!(true))), "{more:?}");
    assert!(
        more.contains(&(&json!("staging"), &json!(false))),
        "{more:?}"
    );
    proxy.clear();
    desk.run(&owed).expect(0);
    assert!(
        test_env
            .bucket
            .head(&staging_key(upload.id()))
            .await
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn multipart_uploads_that_nobody_answers_for_keep_a_sweep_from_no_other_prefix() {
    let test_env = TestEnv::new().await;
    drop(test_env.broker().await);
    let proxy = S3Proxy::before(&test_env.bucket);
    let desk = Desk::with(
        &test_env,
        json!({"storage": {"endpoint": proxy.endpoint()}}),
    );
    // The prefixes are listed in this order.
    for key in ["staging/upl_x", "media/products/x.png"] {
        begin_multipart(&test_env, key).await;
    }
    a_year_ago(&proxy);
    let silent = RequestMatch::method(Method::DELETE).below("staging/");
    proxy.rule(silent, Action::Answer(503, "SlowDown"));
    let sweep = ["sweep", "--once", "--kind", "multipart"];
    let told = desk.json_and(1, &sweep);
    assert_eq!(told["kinds"][0]["counts"]["aborted"], 1, "{told}");
    let error = told["kinds"][0]["error"].as_str().expect("a reason");
    assert!(error.contains("no clear answer"), "{error}");
    assert_eq!(unfinished(&test_env).await, ["staging/upl_x"]);
}
