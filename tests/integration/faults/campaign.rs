//! Right and wrong bytes, confirms by two brokers, cancels, deletes and fresh URLs in random order: at the end, the tables and the
//! bucket are consistent. `BYTEPASS_TEST_ROUNDS` repeats it; a failure prints its seed, and `BYTEPASS_TEST_SEED` repeats the same
//! steps.

use std::collections::BTreeSet;

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use crate::support::api::{Answer, Api};
use crate::support::rows::Rows;
use crate::support::setting;
use crate::support::test_env::TestEnv;
use crate::support::upload_steps::{create_with, digest, plant, text};

const RIGHT: &[u8] = b"\x89PNG the bytes that were meant";
const OTHER: &[u8] = b"\x89PNG the bytes of somebody!!!!";
const UPLOADS: usize = 30;
/// The number of concurrent tasks on one upload, and of steps in each.
const HANDS: usize = 2;
const STEPS: usize = 6;

/// One of the concurrent tasks on an upload.
struct Hand<'a> {
    test_env: &'a TestEnv,
    brokers: &'a [Api; 2],
    created: &'a Answer,
    random: StdRng,
}

impl Hand<'_> {
    async fn work(mut self) {
        for _ in 0..STEPS {
            let api = &self.brokers[self.random.random_range(0..2)];
            match self.random.random_range(0..100) {
                0..25 => drop(api.put(self.created, RIGHT).await.expect(200)),
                25..35 => {
                    let wrong = api.put(self.created, OTHER).await;
                    assert!([400, 403].contains(&wrong.status), "{wrong:?}");
                }
                35..45 => {
                    plant(
                        &self.test_env.bucket,
                        self.created.id(),
                        OTHER,
                        Some("sha256"),
                    )
                    .await
                }
                45..80 => self.confirm(api).await,
                80..90 => self.represign(api).await,
                _ => self.delete(api).await,
            }
        }
    }

    async fn confirm(&self, api: &Api) {
        let answer = api.confirm(self.created.id()).await;
        match (answer.status, answer.code()) {
            (200, _) => assert_eq!(answer.json["status"], "confirmed"),
            (422, "object-mismatch") => {}
            (409, "object-missing" | "wrong-status") => {}
            _ => panic!("confirm: {answer:?}"),
        }
    }

    async fn represign(&self, api: &Api) {
        let path = format!("/v1/uploads/{}/presign", self.created.id());
        let answer = api.post_empty(&path).await;
        match (answer.status, answer.code()) {
            (200, _) => drop(api.put(&answer, RIGHT).await.expect(200)),
            (409, "wrong-status") => {}
            _ => panic!("presign: {answer:?}"),
        }
    }

    async fn delete(&self, api: &Api) {
        let path = format!("/v1/uploads/{}", self.created.id());
        api.delete(&path).await.expect(204);
    }
}

/// The only sequences of events that lead to each status.
fn path_to(status: &str) -> &'static [&'static str] {
    match status {
        "pending" => &[],
        "confirmed" => &["1 upload.confirmed"],
        "rejected" => &["1 upload.rejected"],
        "canceled" => &["1 upload.canceled"],
        "deleted" => &["1 upload.confirmed", "2 upload.deleted"],
        other => panic!("no upload can be {other}"),
    }
}

async fn assert_exists_as_recorded(test_env: &TestEnv, upload: &Answer) {
    let key = text(upload, "key");
    let head = test_env.bucket.head(&key).await;
    let head = head.unwrap_or_else(|| panic!("{key} is recorded and not there"));
    assert_eq!(head.content_length(), upload.json["size"].as_i64());
    let etag = head.e_tag().expect("an ETag").trim_matches('"');
    assert_eq!(upload.json["etag"], etag);
    let checksum = head.checksum_sha256().expect("a checksum");
    assert_eq!(upload.json["checksum"]["value"], checksum);
    let bytes = test_env.bucket.get(&key).await.expect("the object");
    assert_eq!(digest("sha256", &bytes), checksum);
}

/// Tables and bucket agree, for every upload and for every object.
async fn assert_one_story(test_env: &TestEnv, api: &Api, created: &[Answer]) -> BTreeSet<String> {
    let rows = Rows::of(test_env);
    let (mut statuses, mut recorded_keys) = (BTreeSet::new(), BTreeSet::new());
    for id in created.iter().map(Answer::id) {
        let upload = api.read(id).await.expect(200);
        let status = text(&upload, "status");
        let events = rows.events(id);
        assert_eq!(events, path_to(&status), "{id}");
        let version = rows.lines(&format!(
            "SELECT CAST(version AS text) AS line FROM uploads WHERE id = '{id}'"
        ));
        assert_eq!(version, [events.len().to_string()], "{id}");
        let attempts = rows.attempts(id);
        let recorded = attempts.iter().filter(|it| it.1 == "recorded");
        let recorded: Vec<&String> = recorded.map(|it| &it.0).collect();
        if ["confirmed", "deleted"].contains(&status.as_str()) {
            assert_eq!(recorded, [&text(&upload, "key")], "{id}");
        } else {
            assert!(recorded.is_empty(), "{id}: {attempts:?}");
            assert_eq!(upload.json["key"], Value::Null);
        }
        if status == "confirmed" {
            assert_exists_as_recorded(test_env, &upload).await;
            recorded_keys.insert(text(&upload, "key"));
        }
        // Every call was answered and nothing failed, so no sweeper is needed.
        for (key, state) in attempts.iter().filter(|it| it.1 != "recorded") {
            assert_eq!(state, "abandoned", "{id}: {key}");
        }
        statuses.insert(status);
    }
    let found: BTreeSet<String> = test_env.bucket.list("media/").await.into_keys().collect();
    assert_eq!(found, recorded_keys, "each object is recorded");
    statuses
}

/// Prints the seed when a round fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("again with BYTEPASS_TEST_SEED={}", self.0);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    setting(name).map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

#[tokio::test]
async fn random_steps_leave_tables_and_bucket_consistent() {
    for _ in 0..number("BYTEPASS_TEST_ROUNDS").unwrap_or(1) {
        let test_env = TestEnv::new().await;
        let brokers = [test_env.broker().await, test_env.broker().await];
        let users = brokers.each_ref().map(|broker| broker.user());
        let seed = Seed(number("BYTEPASS_TEST_SEED").unwrap_or_else(rand::random));
        let create = || create_with(&users[0], "Product.image", RIGHT, "image/png", "sha256");
        let created = join_all((0..UPLOADS).map(|_| create())).await;
        let created: Vec<Answer> = created.into_iter().map(|it| it.expect(201)).collect();
        let hands = (0..UPLOADS * HANDS).map(|n| Hand {
            test_env: &test_env,
            brokers: &users,
            created: &created[n / HANDS],
            random: StdRng::seed_from_u64(seed.0.wrapping_add(n as u64)),
        });
        join_all(hands.map(Hand::work)).await;
        let statuses = assert_one_story(&test_env, &users[0], &created).await;
        assert!(statuses.len() >= 3, "too dull a round: {statuses:?}");
    }
}
