//! A grant sees and changes only the uploads made under it, not the other uploads of its owner.

use super::*;
use crate::support::statuses;
use bytepass::domain::upload::Status;

fn paths(id: &str) -> [(&'static str, String); 7] {
    let upload = format!("/v1/uploads/{id}");
    [
        ("GET", upload.clone()),
        ("POST", format!("{upload}/confirm")),
        ("POST", format!("{upload}/presign")),
        ("DELETE", upload.clone()),
        ("GET", format!("{upload}/download")),
        ("POST", format!("{upload}/detach")),
        ("POST", format!("{upload}/attach")),
    ]
}

async fn ask(caller: &Api, method: &str, path: &str) -> Answer {
    let request = caller.request(method.parse().expect("a method"), path);
    let request = match path.ends_with("/attach") {
        true => request.json(&json!({"object_id": "1"})),
        false => request,
    };
    crate::support::api::send(request).await
}

#[tokio::test]
async fn grant_sees_neither_other_uploads_of_its_owner_nor_those_of_other_grants() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let own = holder(&broker, &mint(&broker, json!({"max_uploads": 9})).await);
    let other = holder(&broker, &mint(&broker, json!({"max_uploads": 9})).await);
    let missing = "upl_01knavb5w8e59a3fjc8w6qgp7z".to_owned();
    let mut foreign = vec![missing, "upl_1".to_owned()];
    for status in [Status::Pending, Status::Confirmed] {
        foreign.push(statuses::in_status(&test_env, &broker.user(), status).await);
        foreign.push(statuses::in_status(&test_env, &broker.user_named("2"), status).await);
    }
    foreign.push(create(&other).await.expect(201).id().to_owned());
    for id in &foreign {
        for (method, path) in paths(id) {
            let answer = ask(&own, method, &path).await;
            let backends = ["/download", "/attach", "/detach"];
            match backends.iter().any(|end| path.ends_with(end)) {
                // Refused before the id is looked at.
                true => answer.expect_problem(403, "scope-insufficient"),
                false => answer.expect_problem(404, "upload-not-found"),
            };
        }
    }
    for id in &foreign[2..] {
        let row = crate::support::upload_rows::StoredUploads::of(&test_env.database).upload(id);
        assert!(
            ["pending", "confirmed"].contains(&row.status.as_str()),
            "{id}"
        );
    }
}

#[tokio::test]
async fn grant_can_neither_list_nor_count_nor_create_grants() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let page = holder(&broker, &mint(&broker, json!({})).await);
    create(&page).await.expect(201);
    for path in [
        "/v1/uploads",
        "/v1/uploads?owner=user:1",
        "/v1/uploads?field=Product.image",
        "/v1/stats",
        "/v1/attachments/Product/42",
    ] {
        page.get(path)
            .await
            .expect_problem(403, "scope-insufficient");
    }
    let more = page.post("/v1/grants", &asked(&json!({}))).await;
    more.expect_problem(403, "scope-insufficient");
}

#[tokio::test]
async fn grant_can_cancel_its_pending_upload_and_not_delete_a_confirmed_one() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let page = holder(&broker, &mint(&broker, json!({"max_uploads": 2})).await);
    let canceled = create(&page).await.expect(201);
    let path = statuses::path(canceled.id());
    page.delete(&path).await.expect(204);
    let read = page.read(canceled.id()).await.expect(200);
    assert_eq!(read.json["status"], "canceled");
    let confirmed = page.upload("Product.image", JPEG, "image/jpeg").await;
    let path = statuses::path(confirmed.id());
    page.delete(&path)
        .await
        .expect_problem(403, "scope-insufficient");
    let read = broker.user().read(confirmed.id()).await.expect(200);
    assert_eq!(read.json["status"], "confirmed");
    broker.user().delete(&path).await.expect(204);
    assert_eq!(page.read(confirmed.id()).await.json["status"], "deleted");
}
