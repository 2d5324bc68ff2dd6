//! `bytepass token`: tokens for callers of `bytepass dev`.

use serde_json::json;

use super::dev::{PNG, claims};
use crate::commands::folder;
use crate::support::api::Api;
use crate::support::broker_process::BrokerProcess;
use crate::support::command::{Outcome, bytepass};

fn token(broker: &BrokerProcess, arguments: &[&str]) -> Outcome {
    let all = [&["token", "--data-dir", "data"], arguments].concat();
    bytepass(broker.folder(), &all, &[])
}

#[tokio::test]
async fn token_makes_callers_that_the_running_broker_believes() {
    let broker = BrokerProcess::dev();
    let caller = |arguments: &[&str]| {
        let outcome = token(&broker, arguments).expect(0);
        assert_eq!(
            (outcome.stdout.lines().count(), outcome.stderr.as_str()),
            (1, "")
        );
        Api::new(&broker.url, outcome.stdout.trim())
    };
    let created = caller(&[])
        .create("Product.image", PNG, "image/png")
        .await
        .expect(201);
    assert_eq!(created.json["owner"], "user:1");
    let created = caller(&["--sub", "ada"])
        .create("Product.image", PNG, "image/png")
        .await
        .expect(201);
    assert_eq!(created.json["owner"], "user:ada");
    let both = caller(&["--scope", "uploads:write uploads:confirm", "--sub", "shop"]);
    let created = both
        .create("Product.image", PNG, "image/png")
        .await
        .expect(201);
    assert_eq!(created.json["owner"], "service:shop");
    let ops = caller(&["--scope", "ops", "--field", "Order.*"]);
    let stats = ops.get("/v1/stats").await.expect(200);
    assert_eq!(stats.json["data"], json!([]), "narrowed");
    let narrow = caller(&["--field", "Order.*", "--field", "ProductImage.image"]);
    narrow
        .create("Product.image", PNG, "image/png")
        .await
        .expect_problem(403, "field-not-allowed");
    narrow
        .create("ProductImage.image", PNG, "image/png")
        .await
        .expect(201);
    let short = token(&broker, &["--lifetime-secs", "60"]).expect(0).stdout;
    let claims = claims(short.trim());
    assert_eq!(
        claims["exp"]
            .as_i64()
            .zip(claims["iat"].as_i64())
            .map(|(exp, iat)| exp - iat),
        Some(60)
    );
}

#[test]
fn token_refuses_what_it_can_not_sign() {
    let broker = BrokerProcess::dev();
    for (arguments, named) in [
        (&["--scope", "uploads:writ"][..], "uploads:writ"),
        (&["--scope", "ops admin"], "admin"),
        (&["--field", "Product"], "Product"),
        (&["--field", "*"], "*"),
        (&["--sub", ""], "--sub"),
    ] {
        let line = token(&broker, arguments).expect_line(2);
        assert!(line.contains(named), "{line}");
    }
    let line = token(&broker, &["--scope", "nonsense"]).expect_line(2);
    for scope in [
        "uploads:write",
        "uploads:confirm",
        "attachments:write",
        "grants:write",
        "ops",
    ] {
        assert!(line.contains(scope), "{line}");
    }
    let empty = folder();
    let line = bytepass(empty.path(), &["token"], &[]).expect_line(1);
    assert!(line.contains("bytepass dev"), "{line}");
}
