//! Brokers without a server that sweep when a test says so, and a bucket whose clock a test moves.

use bytepass::app::open_broker;
use bytepass::broker::{Broker, Counts, SweepKind, SweepWalk};
use bytepass::telemetry::metrics::Metrics;
use hyper::Method;
use serde_json::{Value, json};

use super::records::Records;
use super::s3_proxy::S3Proxy;
use super::s3_script::{Act, Which};
use super::world::World;

/// The verbs over this world, by the same settings as its brokers'.
pub async fn verbs(world: &World, change: Value) -> Broker {
    // Verbs make no schema; a broker's start does.
    drop(world.broker().await);
    let opened = open_broker(&world.config(change), &Metrics::new()).await;
    opened.unwrap_or_else(|error| panic!("{error}"))
}

/// The verbs with a proxy before their bucket, which they don't wait long for.
pub async fn verbs_behind_proxy(world: &World) -> (Broker, S3Proxy) {
    let proxy = S3Proxy::before(&world.bucket);
    let storage = json!({
        "endpoint": proxy.endpoint(), "public_endpoint": world.bucket.server.endpoint,
        "attempt_timeout_ms": 300, "operation_timeout_ms": 700, "copy_base_ms": 500,
    });
    (verbs(world, json!({ "storage": storage })).await, proxy)
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
pub async fn begin_multipart(world: &World, key: &str) {
    let (client, bucket) = (&world.bucket.client, &world.bucket.name);
    let begun = client.create_multipart_upload().bucket(bucket).key(key);
    let begun = begun.send().await.expect("it begins");
    let part = client.upload_part().bucket(bucket).key(key).part_number(1);
    let id = begun.upload_id().expect("an id");
    let part = part.upload_id(id).body(b"a part".to_vec().into());
    part.send().await.expect("a part");
}

/// The keys of multipart uploads that are neither completed nor aborted.
pub async fn unfinished(world: &World) -> Vec<String> {
    let (client, bucket) = (&world.bucket.client, &world.bucket.name);
    let listed = client.list_multipart_uploads().bucket(bucket).send();
    let listed = listed.await.expect("a listing");
    let keys = listed.uploads().iter().filter_map(|it| it.key());
    keys.map(str::to_owned).collect()
}

/// Moves the deadline of every pending upload to so many seconds ago.
pub fn overdue(world: &World, secs: i64) {
    let at = moment(world, secs);
    let sql = format!("UPDATE uploads SET expires_at = '{at}' WHERE status = 'pending'");
    Records::of(&world.database).execute(&sql);
}

/// Makes every open attempt so many seconds old. Tries again where brokers at work are in the way.
pub fn age_attempts(world: &World, secs: i64) {
    let at = moment(world, secs);
    let sql = format!("UPDATE seal_attempts SET started_at = '{at}' WHERE state = 'open'");
    let mut records = Records::of(&world.database);
    let mut last = Ok(());
    for _ in 0..20 {
        last = records.try_execute(&sql);
        if last.is_ok() {
            return;
        }
    }
    panic!("{sql}: {last:?}");
}

/// So many seconds ago, as the database writes it.
pub fn moment(world: &World, secs_ago: i64) -> String {
    let at = chrono::Utc::now() - chrono::TimeDelta::seconds(secs_ago);
    let zone = if world.database.url().starts_with("postgres") {
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
        let listing = Which::method(Method::GET).query_with(query);
        proxy.rule(listing, Act::Rewrite(shift));
    }
}
