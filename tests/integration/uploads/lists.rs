//! Lists and statistics: pages, filters and visibility.

use std::collections::BTreeSet;

use bytepass::domain::ids::UploadId;
use bytepass::domain::upload::Status;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::statuses::{self, BYTES};
use crate::support::sweeps::moment;
use crate::support::test_env::{Broker, TestEnv};

/// Ids of a page, in its order.
fn ids(page: &Answer) -> Vec<String> {
    let data = page.json["data"].as_array().expect("a list");
    data.iter()
        .map(|one| one["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// The path of the next page, from the header; it must agree with the cursor in the body.
fn next(broker: &Broker, page: &Answer) -> Option<String> {
    let link = page.header("link");
    let Some(cursor) = page.json["next_cursor"].as_str() else {
        assert_eq!((link, &page.json["next_cursor"]), ("", &Value::Null));
        return None;
    };
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
    assert!(cursor.chars().all(safe), "{cursor}");
    let address = link
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix(">; rel=\"next\""))
        .unwrap_or_else(|| panic!("{link}"));
    let query = url::Url::parse(address).expect("a URL");
    let parameter = query.query_pairs().find(|(name, _)| name == "cursor");
    assert_eq!(
        parameter.map(|(_, value)| value.into_owned()).as_deref(),
        Some(cursor)
    );
    Some(
        address
            .strip_prefix(&broker.url)
            .expect("our address")
            .to_owned(),
    )
}

/// Follows the links to the end; returns all ids and the lengths of the pages.
async fn walk(broker: &Broker, caller: &Api, first: &str) -> (Vec<String>, Vec<usize>) {
    let (mut all, mut lengths, mut path) = (Vec::new(), Vec::new(), Some(first.to_owned()));
    while let Some(at) = path {
        let page = caller.get(&at).await.expect(200);
        lengths.push(ids(&page).len());
        all.extend(ids(&page));
        path = next(broker, &page);
        assert!(lengths.len() < 200, "the pages never end");
    }
    (all, lengths)
}

async fn create_many(user: &Api, count: usize) -> Vec<String> {
    let one = || async {
        let created = user.create("Product.image", BYTES, "image/jpeg").await;
        created.expect(201).id().to_owned()
    };
    let mut all = Vec::new();
    for _ in 0..count / 20 {
        all.extend(futures::future::join_all((0..20).map(|_| one())).await);
    }
    all
}

#[tokio::test]
async fn pages_have_no_gap_and_no_repetition_newest_first() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (first, second) = (broker.user(), broker.user_named("2"));
    let mut own: BTreeSet<String> = create_many(&first, 80).await.into_iter().collect();
    let others: BTreeSet<String> = create_many(&second, 40).await.into_iter().collect();
    let newest_first = |ids: &[String]| ids.windows(2).all(|pair| pair[0] > pair[1]);

    let (all, lengths) = walk(&broker, &broker.ops(), "/v1/uploads").await;
    assert_eq!(lengths, [50, 50, 20], "50 where nothing is said");
    assert!(newest_first(&all));
    assert_eq!(all.iter().cloned().collect::<BTreeSet<_>>(), &own | &others);
    for caller in [broker.service(), broker.backend("attachments:write")] {
        assert_eq!(
            walk(&broker, &caller, "/v1/uploads?limit=200").await,
            (all.clone(), vec![120])
        );
    }

    let (mine, lengths) = walk(&broker, &first, "/v1/uploads?limit=7").await;
    assert_eq!(lengths.len(), 12, "{lengths:?}");
    assert!(newest_first(&mine) && mine.len() == 80);
    assert_eq!(mine.into_iter().collect::<BTreeSet<_>>(), own);
    let (exact, lengths) = walk(&broker, &second, "/v1/uploads?limit=20").await;
    assert_eq!(
        (exact.len(), lengths),
        (40, vec![20, 20]),
        "no empty page at the end"
    );

    // An upload made during the reading is on none of the older pages, and shifts nothing.
    let page = first.get("/v1/uploads?limit=30").await.expect(200);
    let rest = next(&broker, &page).expect("more");
    let late = create_many(&first, 20).await;
    let (rest, _) = walk(&broker, &first, &rest).await;
    let read: BTreeSet<String> = ids(&page).into_iter().chain(rest).collect();
    assert_eq!(read, own);
    own.extend(late);
    let (again, _) = walk(&broker, &first, "/v1/uploads?limit=200").await;
    assert_eq!(again.into_iter().collect::<BTreeSet<_>>(), own);
}

#[tokio::test]
async fn filters_apply_and_stay_on_the_next_page() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (user, ops) = (broker.user(), broker.ops());
    let uploads = statuses::in_every_status(&test_env, &user).await;
    let other = broker
        .user_named("2")
        .create("ProductImage.image", BYTES, "image/jpeg")
        .await
        .expect(201);
    for (status, id) in &uploads {
        let expected = match status {
            Status::Pending => vec![other.id().to_owned(), id.clone()],
            _ => vec![id.clone()],
        };
        let page = ops
            .get(&format!("/v1/uploads?status={status}"))
            .await
            .expect(200);
        assert_eq!(ids(&page), expected, "{status}");
    }
    let count = async |caller: &Api, query: &str| {
        ids(&caller
            .get(&format!("/v1/uploads?{query}"))
            .await
            .expect(200))
        .len()
    };
    assert_eq!(count(&ops, "field=Product.image").await, 8);
    assert_eq!(count(&ops, "field=ProductImage.image").await, 1);
    assert_eq!(count(&ops, "field=Order.nothing").await, 0);
    assert_eq!(count(&ops, "owner=user:1").await, 8);
    assert_eq!(count(&ops, "owner=user%3A2&status=pending").await, 1);
    assert_eq!(count(&ops, "owner=user:2&status=confirmed").await, 0);
    assert_eq!(
        count(
            &ops,
            "owner=user:1&field=Product.image&status=deleted&limit=1"
        )
        .await,
        1
    );
    assert_eq!(count(&user, "owner=user:1").await, 8);
    assert_eq!(count(&user, "owner=user:2").await, 0);
    assert_eq!(count(&ops, "older_than=1h").await, 0);
    assert_eq!(count(&ops, "older_than=0s").await, 9);
    // Ids begin with their time, so an old one can't be made of a new one.
    let at = Utc::now() - TimeDelta::hours(2);
    let (id, created_at) = (UploadId::new(at, &[7; 10]), moment(&test_env, 2 * 3_600));
    let same = "version, bucket, filename, content_type, size, expires_at, url_lifetime_secs";
    test_env.database.execute(&format!(
        "INSERT INTO uploads (id, status, field, owner, created_at, {same}) \
         SELECT '{id}', 'pending', field, 'user:9', '{created_at}', {same} FROM uploads WHERE id = '{}'",
        other.id()
    ));
    for (age, expected) in [("1h", 1), ("119m", 1), ("7000s", 1), ("3h", 0), ("1d", 0)] {
        assert_eq!(
            count(&ops, &format!("older_than={age}")).await,
            expected,
            "{age}"
        );
    }
    let (all, lengths) = walk(
        &broker,
        &ops,
        "/v1/uploads?owner=user:1&field=Product.image&limit=3",
    )
    .await;
    assert_eq!(
        (all.len(), lengths),
        (8, vec![3, 3, 2]),
        "the link keeps the filters"
    );
    assert!(!all.contains(&other.id().to_owned()));
}

#[tokio::test]
async fn unknown_query_parameter_is_refused() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    for query in [
        "page=2",
        "Status=pending",
        "status[]=pending",
        "sort=id",
        "object_key=a",
        "status=",
        "status=done",
        "status=PENDING",
        "field=",
        "field=image",
        "field=Product.*",
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=ten",
        "limit=1e1",
        "limit=+5",
        "limit=5.0",
        "limit=",
        "limit=99999999999999999999",
        "limit=5&limit=6",
        "cursor=",
        "cursor=x",
        "cursor=%00",
        "cursor=dXBsXw",
        "cursor=1;DROP",
        "cursor=..%2f",
        "older_than=15",
        "older_than=m",
        "older_than=-5m",
        "older_than=1w",
        "older_than=1.5h",
        "older_than=999999999999999d",
        "owner=%ff",
        "=x",
    ] {
        let answer = user.get(&format!("/v1/uploads?{query}")).await;
        let answer = answer.expect_problem(400, "invalid-request");
        let detail = answer.json["detail"].as_str().expect("a text");
        assert!(detail.contains("quer"), "{query}: {detail}");
    }
    user.get("/v1/uploads?").await.expect(200);
    user.get("/v1/uploads?limit=200").await.expect(200);
}

#[tokio::test]
async fn statistics_count_every_status() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let ops = broker.ops();
    let empty = ops.get("/v1/stats").await.expect(200);
    assert_eq!(empty.json, json!({"data": [], "oldest_pending": []}));
    let oldest = broker
        .user()
        .create("Product.image", b"123", "image/png")
        .await
        .expect(201);
    broker
        .user_named("2")
        .create("Product.image", b"4567", "image/png")
        .await
        .expect(201);
    broker
        .user()
        .upload("Product.image", b"12345", "image/png")
        .await;
    broker
        .user()
        .upload("ProductImage.image", b"123456", "image/png")
        .await;
    let deleted = broker
        .user()
        .upload("ProductImage.image", b"1234567", "image/png")
        .await;
    broker
        .user()
        .delete(&statuses::path(deleted.id()))
        .await
        .expect(204);
    let stats = ops.get("/v1/stats").await.expect(200);
    let mut rows: Vec<String> = stats.json["data"]
        .as_array()
        .expect("rows")
        .iter()
        .map(Value::to_string)
        .collect();
    rows.sort();
    assert_eq!(
        rows,
        [
            r#"{"bytes":5,"count":1,"field":"Product.image","status":"confirmed"}"#,
            r#"{"bytes":6,"count":1,"field":"ProductImage.image","status":"confirmed"}"#,
            r#"{"bytes":7,"count":1,"field":"ProductImage.image","status":"deleted"}"#,
            r#"{"bytes":7,"count":2,"field":"Product.image","status":"pending"}"#,
        ]
    );
    let expected = json!([{"field": "Product.image", "created_at": oldest.json["created_at"]}]);
    assert_eq!(stats.json["oldest_pending"], expected);
}
