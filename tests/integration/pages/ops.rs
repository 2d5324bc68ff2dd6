//! `/ops` in a browser: the dashboard, its manual actions, and client input that must not become markup.

use bytepass::domain::upload::Status;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::browser::play;
use crate::support::statuses::{BYTES, in_status};
use crate::support::test_env::{
    Broker, TestEnv, backend_token, sign_backend, sign_user, user_token,
};
use crate::support::webhook_receiver::{Receiver, Reply, webhooks};

/// Markup that would run if a page inserted it as such.
const NASTY: &str = "<img src=x onerror=window.ran=1>";
/// Pending uploads that stay pending: more than a page of the table holds.
const WAITING: usize = 30;

/// Creates an upload with this file name.
async fn named(user: &Api, filename: &str) -> Answer {
    let body = json!({
        "field": "Product.image", "filename": filename, "content_type": "image/jpeg", "size": BYTES.len(), "object_id": NASTY,
    });
    user.post("/v1/uploads", &body).await.expect(201)
}

/// Creates uploads in several statuses and two dead deliveries; returns the input of the browser test.
async fn seeded(test_env: &TestEnv, broker: &Broker, receiver: &Receiver) -> Value {
    let user = broker.user_named(NASTY);
    let other = broker.user();
    let mut waiting = String::new();
    for _ in 0..WAITING {
        let created = other.create("ProductImage.image", BYTES, "image/jpeg");
        waiting = created.await.expect(201).id().to_owned();
    }
    in_status(test_env, &broker.user(), Status::Rejected).await;
    let staged = named(&user, "staged.jpg").await;
    user.put(&staged, BYTES).await.expect(200);
    let absent = named(&user, "absent.jpg").await;
    let nasty = named(&user, &format!("{NASTY}.jpg")).await;
    user.put(&nasty, BYTES).await.expect(200);
    user.confirm(nasty.id()).await.expect(200);
    // Both events failed once: the rejection and the confirm.
    receiver.expect(2).await;
    let ops = broker.ops();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while ops.get("/v1/ops/overview").await.json["webhooks"][0]["dead"] != 2 {
        assert!(
            std::time::Instant::now() < end,
            "the deliveries are not dead"
        );
    }
    json!({
        "url": broker.url, "origins": [broker.url], "pending": WAITING + 2,
        "ops": sign_backend(&backend_token("ops")), "user": sign_user(&user_token("1")),
        "staged": staged.id(), "absent": absent.id(), "nasty": nasty.id(),
        "waiting": waiting,
    })
}

#[tokio::test]
async fn dashboard_shows_settles_and_replays_and_client_input_never_runs() {
    let test_env = TestEnv::new().await;
    let receiver = Receiver::answering(|_| Reply::Status(500)).await;
    let settings = webhooks(1, vec![receiver.endpoint("shop")]);
    let broker = test_env.broker_with(settings).await;
    let input = seeded(&test_env, &broker, &receiver).await;
    receiver.now_answers(|_| Reply::Status(200));
    let id = |name: &str| input[name].as_str().expect("an id").to_owned();
    let (staged, absent) = (id("staged"), id("absent"));
    let browser = tokio::task::spawn_blocking(move || play("pages_ops", &input));
    if browser.await.expect("the browser test ends").is_none() {
        return;
    }
    let ops = broker.ops();
    let confirmed = ops.read(&staged).await.json;
    assert_eq!(
        (&confirmed["status"], &confirmed["confirmed_by"]),
        (&json!("confirmed"), &json!("sweeper"))
    );
    assert_eq!(ops.read(&absent).await.json["status"], "expired");
    // Dead deliveries came again with the same ids: one by the upload's panel, one by the endpoint's button.
    let all = receiver
        .until(|all| all.iter().filter(|it| it.answered == 200).count() >= 4)
        .await;
    let ids = |status: u16| {
        let of_status = all.iter().filter(move |it| it.answered == status);
        of_status.map(|it| it.id()).collect::<Vec<_>>()
    };
    assert_eq!(ids(500).len(), 2);
    assert!(ids(500).iter().all(|id| ids(200).contains(id)), "{all:?}");
}

#[tokio::test]
async fn dashboard_page_has_no_data_and_its_policy_forbids_inline_code() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    broker
        .user()
        .create("Product.image", BYTES, "image/jpeg")
        .await
        .expect(201);
    let answer = broker.anonymous().get("/ops").await.expect(200);
    let policy = answer.header("content-security-policy");
    for needed in [
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(needed), "{policy}");
    }
    assert!(
        !policy.contains("unsafe") && !policy.contains('*'),
        "{policy}"
    );
    let text = answer.text.to_lowercase();
    for inline in [
        "<style",
        " style=",
        " onclick=",
        " onload=",
        " onerror=",
        "javascript:",
        "//",
        "upl_",
    ] {
        assert!(!text.contains(inline), "the page holds {inline}");
    }
    let mut loaded = 0;
    for part in answer.text.split('"').collect::<Vec<_>>().windows(2) {
        if part[0].ends_with("src=") || part[0].ends_with("href=") {
            broker
                .anonymous()
                .get(&format!("/{}", part[1]))
                .await
                .expect(200);
            loaded += 1;
        }
    }
    assert!(loaded >= 8, "{loaded}");
    let license = broker.anonymous().get("/ops/uPlot.LICENSE").await;
    assert!(license.expect(200).text.contains("Leon Sorokin"));
}
