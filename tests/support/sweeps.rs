//! Brokers without a server, which sweep when the test says so, and a bucket whose clock the test moves.

use bytepass::app::open_broker;
use bytepass::broker::{Broker, Counts, SweepKind, SweepWalk};
use bytepass::telemetry::metrics::Metrics;
use hyper::Method;
use serde_json::{Value, json};

use super::s3_proxy::S3Proxy;
use super::s3_script::{Action, RequestMatch};
use super::test_env::TestEnv;
use super::upload_rows::StoredUploads;

/// A broker on this test environment, with the settings of its served brokers.
pub async fn broker_without_server(test_env: &TestEnv, change: Value) -> Broker {
    // Verbs make no schema; a broker's start does.
    drop(test_env.broker().await);
    let opened = open_broker(&test_env.config(change), &Metrics::new()).await;
    opened.unwrap_or_else(|error| panic!("{error}"))
}

/// The verbs with a proxy before their bucket, which they don't wait long for.
pub async fn broker_without_server_behind_proxy(test_env: &TestEnv) -> (Broker, S3Proxy) {
    let proxy = S3Proxy::before(&test_env.bucket);
    let storage = json!({
        "endpoint": proxy.endpoint(), "public_endpoint": test_env.bucket.server.endpoint,
        "attempt_timeout_ms": 300, "operation_timeout_ms": 700, "copy_base_ms": 500,
    });
    (
        broker_without_server(test_env, json!({ "storage": storage })).await,
        proxy,
    )
}

/// A whole walk; what all of its batches counted.
pub async fn swept(broker: &Broker, kind: SweepKind) -> Counts {
    round(broker, &mut SweepWalk::new(kind, 7)).await
}

/// One round, as the worker does it.
pub async fn round(broker: &Broker, walk: &mut SweepWalk) -> Counts {
    let mut counts = Counts::default();
    loop {
        let report = broker.sweep(walk).await.expect("a sweep");
        counts += report.counts;
        if !report.more {
            return counts;
        }
    }
}

/// Begins a multipart upload past the broker, through S3's own API, with one part.
pub async fn begin_multipart(test_env: &TestEnv, key: &str) {
    let (client, bucket) = (&test_env.bucket.client, &test_env.bucket.name);
    let begun = client.create_multipart_upload().bucket(bucket).key(key);
    let begun = begun.send().await.expect("it begins");
    let part = client.upload_part().bucket(bucket).key(key).part_number(1);
    let id = begun.upload_id().expect("an id");
    let part = part.upload_id(id).body(b"a part".to_vec().into());
    part.send().await.expect("a part");
}

/// The keys of multipart uploads that are neither completed nor aborted.
pub async fn unfinished(test_env: &TestEnv) -> Vec<String> {
    let (client, bucket) = (&test_env.bucket.client, &test_env.bucket.name);
    let listed = client.list_multipart_uploads().bucket(bucket).send();
    let listed = listed.await.expect("a listing");
    let keys = listed.uploads().iter().filter_map(|it| it.key());
    keys.map(str::to_owned).collect()
}

/// Moves the deadline of every pending upload to `secs` ago.
pub fn overdue(test_env: &TestEnv, secs: i64) {
    let at = moment(test_env, secs);
    let sql = format!("UPDATE uploads SET expires_at = '{at}' WHERE status = 'pending'");
    StoredUploads::of(&test_env.database).execute(&sql);
}

/// Makes every open attempt `secs` old. Retries while a broker holds a lock.
pub fn age_attempts(test_env: &TestEnv, secs: i64) {
    let at = moment(test_env, secs);
    let sql = format!("UPDATE seal_attempts SET started_at = '{at}' WHERE state = 'open'");
    let mut records = StoredUploads::of(&test_env.database);
    let mut last = Ok(());
    for _ in 0..20 {
        last = records.try_execute(&sql);
        if last.is_ok() {
            return;
        }
    }
    panic!("{sql}: {last:?}");
}

/// The time `secs_ago`, in the format of the database.
pub fn moment(test_env: &TestEnv, secs_ago: i64) -> String {
    let at = chrono::Utc::now() - chrono::TimeDelta::seconds(secs_ago);
    let zone = if test_env.database.url().starts_with("postgres") {
        "+00"
    } else {
        ""
    };
    format!("{}{zone}", at.format("%Y-%m-%d %H:%M:%S%.6f"))
}

/// Lets the bucket's listings say that everything there is from a year earlier than it is. Their date stays as it is, because the
/// SDK signs by it.
pub fn a_year_ago(proxy: &S3Proxy) {
    fn shift(body: &str) -> String {
        let year = chrono::Utc::now().format("%Y").to_string();
        let before: i32 = year.parse().expect("a year");
        let mut text = body.to_owned();
        for tag in ["LastModified", "Initiated"] {
            let (now, then) = (format!("<{tag}>{year}"), format!("<{tag}>{}", before - 1));
            text = text.replace(&now, &then);
        }
        text
    }
    for query in ["list-type=2", "uploads"] {
        let listing = RequestMatch::method(Method::GET).query_with(query);
        proxy.rule(listing, Action::Rewrite(shift));
    }
}
