//! An outage of the bucket or the database under load: what clients get meanwhile, and how soon everything works again.
//!
//! Clients create, confirm and read without a pause; at the end, the answers they got are compared with the tables and the bucket.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use super::fault_proxy::Mode;
use super::outage_figures::{Figures, RequestKind, Seen};
use super::outage_load::{JPEG, LIMIT, Load, LoadResults};
use super::postgres_proxy::PostgresProxy;
use super::rows::Rows;
use super::s3_proxy::S3Proxy;
use super::s3_script::{Action, RequestMatch};
use super::test_env::{Broker, TestEnv};
use super::upload_rows::{StoredUploads, confirm_within, is_confirmed_once};

/// The time under load before the cut.
const BEFORE: Duration = Duration::from_millis(400);

/// The part that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The broker's way to the bucket; the clients' own stays.
    Bucket,
    /// Postgres.
    Database,
}

/// The failure of its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// There is no listener.
    Refused,
    /// Connections are accepted and get no answer.
    Silent,
    /// Each request is answered 503; only a bucket can.
    Errors,
}

enum Proxy {
    Bucket(S3Proxy),
    Database(PostgresProxy),
}

/// A broker with default limits, and a proxy before one of its parts.
pub struct Scene {
    broker: Broker,
    proxy: Proxy,
    test_env: TestEnv,
}

impl Scene {
    /// Sets it up; `None` for the database on SQLite.
    pub async fn new(victim: Victim) -> Option<Scene> {
        let test_env = TestEnv::new().await;
        let sweeper = json!({"enabled": true, "interval_secs": 1});
        let (proxy, change) = match victim {
            Victim::Bucket => {
                let proxy = S3Proxy::before(&test_env.bucket);
                let storage = json!({"endpoint": proxy.endpoint(), "public_endpoint": test_env.bucket.server.endpoint});
                (Proxy::Bucket(proxy), json!({"storage": storage}))
            }
            Victim::Database => {
                let database = test_env.database.needs_postgres()?;
                let proxy = PostgresProxy::start(database.server());
                let url = database.url_through(proxy.network.address());
                (Proxy::Database(proxy), json!({"database": {"url": url}}))
            }
        };
        let mut change = change;
        change["sweeper"] = sweeper;
        // All uploads of an outage have one owner, and may exceed the limit of pending uploads.
        change["limits"] = json!({"pending_uploads_per_owner": 0, "pending_bytes_per_owner": 0});
        Some(Scene {
            broker: test_env.broker_with(change).await,
            proxy,
            test_env,
        })
    }

    fn cut(&self, how: Failure) {
        match (&self.proxy, how) {
            (Proxy::Bucket(proxy), Failure::Errors) => {
                proxy.rule(RequestMatch::any(), Action::Answer(503, "SlowDown"));
            }
            (Proxy::Bucket(S3Proxy { network, .. }), how)
            | (Proxy::Database(PostgresProxy { network, .. }), how) => {
                network.set(match how {
                    Failure::Refused => Mode::Refuse,
                    Failure::Silent | Failure::Errors => Mode::BlackHole,
                });
            }
        }
    }

    fn heal(&self) {
        match &self.proxy {
            Proxy::Bucket(proxy) => {
                proxy.clear();
                proxy.network.heal();
            }
            Proxy::Database(proxy) => proxy.network.heal(),
        }
    }

    /// An outage of this length under load. Fails the test on every answer that is neither right nor "come back", and unless
    /// the answers agree with the tables and the bucket at the end.
    pub async fn outage(&self, how: Failure, length: Duration) -> Figures {
        let user = self.broker.user();
        let late = user.stage("Product.image", JPEG, "image/jpeg").await;
        let absent = user.create("Product.image", JPEG, "image/jpeg").await;
        let load = Load::start(&self.broker, late.id());
        tokio::time::sleep(BEFORE).await;

        self.cut(how);
        let cut = Instant::now();
        let rows = Rows::of(&self.test_env);
        // For the sweeper, which may judge neither while it can't ask.
        rows.set_deadline(late.id(), -5);
        rows.set_deadline(absent.id(), -5);
        tokio::time::sleep(length.saturating_sub(cut.elapsed())).await;
        let mut records = StoredUploads::of(&self.test_env.database);
        for id in [late.id(), absent.id()] {
            let row = records.upload(id);
            assert_eq!((row.status.as_str(), row.version), ("pending", 0), "{id}");
        }

        let heal = Instant::now();
        self.heal();
        load.all_well_after(heal).await;
        let results = load.end().await;
        self.swept(late.id(), "confirmed", heal).await;
        self.swept(absent.id(), "expired", heal).await;
        let figures = Figures::new(&results.seen, cut, heal);
        self.is_true(results, [late.id(), absent.id()]).await;
        figures
    }

    async fn swept(&self, id: &str, status: &str, heal: Instant) {
        let mut records = StoredUploads::of(&self.test_env.database);
        while records.upload(id).status != status {
            assert!(heal.elapsed() < LIMIT, "{id} is not {status}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn is_true(&self, results: LoadResults, ours: [&str; 2]) {
        let user = self.broker.user();
        for confirmed in &results.confirmed {
            is_confirmed_once(&self.test_env, confirmed, JPEG).await;
        }
        for id in &results.staged {
            let confirmed = confirm_within(&user, id, LIMIT).await;
            is_confirmed_once(&self.test_env, &confirmed, JPEG).await;
        }
        let rows = StoredUploads::of(&self.test_env.database).uploads();
        let there: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let known: BTreeSet<&str> = results
            .created
            .iter()
            .map(String::as_str)
            .chain(ours)
            .collect();
        assert_eq!(known.difference(&there).count(), 0, "a row is lost");
        // A create without a clear answer may have left a pending row.
        let refused = |seen: &&Seen| seen.ask == RequestKind::Create && !seen.done;
        let unclear = results.seen.iter().filter(refused).count();
        assert!(there.len() <= known.len() + unclear, "rows from nowhere");
        for row in rows.iter().filter(|row| !known.contains(row.id.as_str())) {
            assert_eq!((row.status.as_str(), row.version), ("pending", 0));
        }
    }
}
