//! `bytepass fsck --counters`: a counter that differs from its uploads is reported, and corrected with --fix.

use serde_json::{Value, json};

use crate::support::test_env::TestEnv;

use super::once::dev::PNG;
use super::uploads::Desk;

const FIELD: &str = "Product.image";

fn report(desk: &Desk, arguments: &[&str], code: i32) -> Value {
    let all = [&["fsck", "--counters", "-o", "json"], arguments].concat();
    let outcome = desk.run(&all).expect(code);
    serde_json::from_str(&outcome.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_that_differ_are_reported_and_corrected_with_fix() {
    let test_env = TestEnv::new().await;
    let change = json!({"limits": {"pending_uploads_per_owner": 3}});
    let broker = test_env.broker_with(change).await;
    let (user, desk) = (broker.user(), Desk::of(&test_env));
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(user.create(FIELD, PNG, "image/png").await.expect(201));
    }
    let whole = desk.run(&["fsck", "--counters"]).expect(0);
    assert_eq!(whole.stdout, "the counters agree with the uploads\n");
    assert_eq!(report(&desk, &[], 0)["found"], 0);

    // Changed with SQL: two uploads end and their counters stay, and an owner has an upload without a counter.
    let (first, second) = (made[0].id(), made[1].id());
    test_env.database.execute(&format!(
        "UPDATE uploads SET status = 'canceled', version = version + 1 WHERE id IN ('{first}', '{second}')"
    ));
    let other = "upl_00000000000000000000000001";
    test_env.database.execute(&format!(
        "INSERT INTO uploads (id, status, version, field, owner, bucket, filename, content_type, size, created_at, expires_at, url_lifetime_secs) \
         SELECT '{other}', 'pending', 0, field, 'user:2', bucket, filename, content_type, 7, created_at, expires_at, url_lifetime_secs \
         FROM uploads WHERE id = '{first}'"
    ));
    let refused = user.create(FIELD, PNG, "image/png").await;
    refused.expect_problem(429, "quota-exceeded");

    let bytes = PNG.len() as i64;
    let expected = |fixed: bool| {
        let counter = |owner: Option<&str>, status: &str, uploads: i64, bytes: i64| {
            let field = if owner.is_none() { Some(FIELD) } else { None };
            json!({"owner": owner, "field": field, "status": status, "uploads": uploads, "bytes": bytes, "fixed": fixed})
        };
        json!([
            counter(Some("user:1"), "pending", -2, -2 * bytes),
            counter(Some("user:2"), "pending", 1, 7),
            counter(None, "canceled", 2, 2 * bytes),
            counter(None, "pending", -1, 7 - 2 * bytes),
        ])
    };
    for _ in 0..2 {
        let found = report(&desk, &[], 3);
        assert_eq!((&found["found"], &found["fixed"]), (&json!(4), &json!(0)));
        assert_eq!(found["counters"], expected(false));
    }
    let fixed = report(&desk, &["--fix"], 0);
    assert_eq!((&fixed["found"], &fixed["fixed"]), (&json!(4), &json!(4)));
    assert_eq!(fixed["counters"], expected(true));
    assert_eq!(report(&desk, &[], 0)["found"], 0);

    // The running broker counts with the corrected counters.
    for _ in 0..2 {
        user.create(FIELD, PNG, "image/png").await.expect(201);
    }
    let refused = user.create(FIELD, PNG, "image/png").await;
    refused.expect_problem(429, "quota-exceeded");
    let stats = broker.ops().get("/v1/stats").await.expect(200);
    let groups = stats.json["data"].as_array().expect("groups");
    let count = |status: &str| {
        let found = groups.iter().find(|it| it["status"] == status);
        found.map_or(0, |it| it["count"].as_u64().expect("a count"))
    };
    assert_eq!((count("pending"), count("canceled")), (4, 2));
    assert_eq!(report(&desk, &[], 0)["found"], 0);
}
