//! A test environment: a database, a bucket, and any number of brokers on them, each a real server with its own port and threads.

use std::thread::JoinHandle;
use std::time::Duration;

use bytepass::app::App;
use bytepass::config::{Config, Sources};
use bytepass::telemetry::metrics::Metrics;
use bytepass_dev_bucket::{DevBucket, DevBucketOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::api::{Answer, Api};
use super::broker_process::BrokerProcess;
use super::bucket::{S3Server, TestBucket};
use super::database::AnyDatabase;
use super::receipts;
use super::tokens::Token;
use super::unique;

const USERS_SECRET: &str = "users-secret-of-the-tests-32-bytes-long";
const BACKENDS_SECRET: &str = "backends-secret-of-the-tests-32-bytes-long";
/// The time limit for the start of a broker.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A database and a bucket. Dropped after its brokers.
pub struct TestEnv {
    /// The database of the matrix job's kind.
    pub database: AnyDatabase,
    /// The bucket of the matrix job's kind, with the owner's keys.
    pub bucket: TestBucket,
    _embedded: Option<(DevBucket, TempDir)>,
}

impl TestEnv {
    /// An empty database and an empty bucket.
    pub async fn new() -> TestEnv {
        let database = AnyDatabase::create();
        if let Some(bucket) = TestBucket::create().await {
            return TestEnv {
                database,
                bucket,
                _embedded: None,
            };
        }
        let (name, folder) = (unique("test-"), tempfile::tempdir().expect("a folder"));
        let options = DevBucketOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            data_dir: folder.path().to_owned(),
            region: "us-east-1".to_owned(),
            access_key_id: "test-access-key".to_owned(),
            secret_access_key: "test-secret-key".into(),
            buckets: vec![name.clone()],
            public_prefixes: vec!["media/products/".to_owned()],
        };
        let server = DevBucket::start(options).expect("the development bucket starts");
        let at = S3Server {
            endpoint: server.url(),
            access_key: "test-access-key".to_owned(),
            secret_key: "test-secret-key".to_owned(),
        };
        TestEnv {
            database,
            bucket: TestBucket::at(at, &name),
            _embedded: Some((server, folder)),
        }
    }

    /// A broker with the default settings of tests.
    pub async fn broker(&self) -> Broker {
        self.broker_with(json!({})).await
    }

    /// A broker whose configuration differs in these keys, `{"storage": {"checksum_proof": "none"}}`.
    pub async fn broker_with(&self, change: Value) -> Broker {
        Broker::start(self.config(change)).await
    }

    /// The same as a child process, with these environment variables.
    pub fn process(&self, change: Value, env: &[(&str, &str)]) -> BrokerProcess {
        let mut settings = self.settings(change);
        BrokerProcess::serve(
            |listen| {
                let here = json!({"server": {"listen": listen.to_string()}});
                merge(&mut settings, here);
                toml::to_string(&settings).expect("TOML")
            },
            env,
        )
    }

    /// The configuration of such a broker.
    pub fn config(&self, change: Value) -> Config {
        let toml = toml::to_string(&self.settings(change)).expect("TOML");
        let sources = Sources::default().with_defaults("test", toml);
        Config::load(&sources).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// A folder with such a configuration in `bytepass.toml`, for the command line.
    pub fn configured(&self, change: Value) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let text = toml::to_string(&self.settings(change)).expect("TOML");
        std::fs::write(folder.path().join("bytepass.toml"), text).expect("a file");
        folder
    }

    /// The settings of such a broker, for a configuration file of a process.
    pub fn settings(&self, change: Value) -> Value {
        let issuer = |name: &str, prefix: &str, scopes: Value, secret: &str| json!({"name": name, "issuer": name, "audience": "bytepass", "owner_prefix": prefix, "scopes": scopes, "secret": secret});
        let all = [
            "uploads:write",
            "uploads:confirm",
            "attachments:write",
            "grants:write",
            "ops",
        ];
        let mut settings = json!({
            "server": {"listen": "127.0.0.1:0", "workers": 2, "shutdown_delay_secs": 0, "shutdown_timeout_secs": 1},
            "database": {"url": self.database.url(), "pool_size": 4},
            "storage": {
                "bucket": self.bucket.name, "endpoint": self.bucket.server.endpoint, "path_style": true,
                "access_key_id": self.bucket.server.access_key, "secret_access_key": self.bucket.server.secret_key,
            },
            // Off, like the rate limits, because most tests count requests or look at leftovers; tests of the sweeper switch it on.
            "sweeper": {"enabled": false},
            "limits": {"requests_per_owner_per_sec": 0, "requests_per_address_per_sec": 0},
            "receipts": {
                "issuer": receipts::ISSUER,
                "keys": [{"kid": receipts::KID, "pem": receipts::PEM}],
            },
            "auth": {"issuers": [
                issuer("users", "user:", json!(["uploads:write"]), USERS_SECRET),
                issuer("backends", "service:", json!(all), BACKENDS_SECRET),
            ]},
        });
        merge(&mut settings, change);
        settings
    }
}

/// A valid token of a user, to be changed and signed.
pub fn user_token(subject: &str) -> Token {
    Token::new("users", "bytepass", subject).scope("uploads:write")
}

/// A valid token of a backend with these scopes, to be changed and signed.
pub fn backend_token(scopes: &str) -> Token {
    Token::new("backends", "bytepass", "shop").scope(scopes)
}

/// Signs a token of [`user_token`].
pub fn sign_user(token: &Token) -> String {
    token.sign(USERS_SECRET.as_bytes())
}

/// Signs a token of [`backend_token`].
pub fn sign_backend(token: &Token) -> String {
    token.sign(BACKENDS_SECRET.as_bytes())
}

/// A running broker; it is stopped when dropped.
pub struct Broker {
    /// Its base URL.
    pub url: String,
    /// Its metrics.
    pub metrics: Metrics,
    metrics_url: Option<String>,
    // Shared by all callers, because each new HTTP client reads the system's certificates.
    nobody: Api,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Broker {
    /// Starts one; fails the test if it does not start.
    pub async fn start(config: Config) -> Broker {
        Broker::try_start(config)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts one, or returns the error.
    pub async fn try_start(config: Config) -> Result<Broker, String> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (started, start) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                match App::build(config).await {
                    Err(error) => drop(started.send(Err(error.to_string()))),
                    Ok(app) => {
                        let parts = (
                            app.url().to_owned(),
                            app.metrics().clone(),
                            app.metrics_url(),
                        );
                        drop(started.send(Ok(parts)));
                        let stop = async { drop(stopped.await) };
                        app.run_until_stopped(stop)
                            .await
                            .expect("the server stops cleanly");
                    }
                }
            });
            runtime.shutdown_timeout(Duration::from_secs(2));
        });
        let outcome = tokio::time::timeout(START_LIMIT, start)
            .await
            .expect("a start in time");
        let (url, metrics, metrics_url) = outcome.expect("the broker's thread lives")?;
        Ok(Broker {
            nobody: Api::anonymous(&url),
            url,
            metrics,
            metrics_url,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The URL of its metrics; needs `server.admin_listen`.
    pub fn metrics_url(&self) -> &str {
        self.metrics_url.as_deref().expect("an admin listener")
    }

    /// A caller without a token.
    pub fn anonymous(&self) -> Api {
        self.nobody.clone()
    }

    /// The user whose uploads belong to `user:1`.
    pub fn user(&self) -> Api {
        self.user_named("1")
    }

    /// Another user.
    pub fn user_named(&self, subject: &str) -> Api {
        self.nobody.with_token(&sign_user(&user_token(subject)))
    }

    /// The shop's backend.
    pub fn service(&self) -> Api {
        self.backend("uploads:confirm attachments:write grants:write")
    }

    /// An operator.
    pub fn ops(&self) -> Api {
        self.backend("ops")
    }

    /// A backend with these scopes.
    pub fn backend(&self, scopes: &str) -> Api {
        self.nobody
            .with_token(&sign_backend(&backend_token(scopes)))
    }
}

impl Broker {
    /// Begins a stop and waits until `/readyz` reports it; returns that answer. Needs `server.shutdown_delay_secs`.
    pub async fn begin_stop(&mut self) -> Answer {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        loop {
            let answer = self.nobody.get("/readyz").await;
            if answer.status != 200 {
                return answer;
            }
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        // Joined, so that the database and the bucket outlive the broker.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Puts `change` over `settings`, table by table.
fn merge(settings: &mut Value, change: Value) {
    match (settings, change) {
        (Value::Object(settings), Value::Object(change)) => {
            for (key, value) in change {
                merge(settings.entry(key).or_insert(Value::Null), value);
            }
        }
        (settings, change) => *settings = change,
    }
}
