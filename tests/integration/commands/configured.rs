//! `serve`, `migrate`, `check-config` and `health`: what an operator runs, and what mistakes say.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::folder;
use crate::support::api::Api;
use crate::support::broker_process::{BrokerProcess, free_address};
use crate::support::command::bytepass;
use crate::support::test_env::{TestEnv, sign_user, user_token};

fn written(settings: &Value) -> tempfile::TempDir {
    let folder = folder();
    let toml = toml::to_string(settings).expect("TOML");
    std::fs::write(folder.path().join("b.toml"), toml).expect("a file");
    folder
}

#[test]
fn serve_without_a_configuration_says_what_is_missing_and_where_to_say_it() {
    let folder = folder();
    let outcome = bytepass(folder.path(), &["serve"], &[]).expect(2);
    assert_eq!(outcome.stdout, "");
    for part in [
        "storage.bucket",
        "auth.issuers",
        "receipts.keys",
        "--config",
        "bytepass dev",
    ] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
    assert_eq!(outcome.stderr.lines().count(), 4, "{}", outcome.stderr);
    let line = bytepass(folder.path(), &["serve", "--config", "no.toml"], &[]).expect_line(2);
    assert!(line.contains("no.toml"), "{line}");
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_line() {
    let cases = [
        ("[server]\nlisten = \n", "b.toml:2"),
        ("[server]\n\nlisten = 5\n", "b.toml:3"),
        (
            "[storage]\nbucket = \"media\"\nbukket = \"x\"\n",
            "b.toml:3",
        ),
        ("[storag]\nbucket = \"x\"\n", "b.toml:1"),
        ("[limits]\npage_max = 0\n", "b.toml:2"),
        ("x = [\n", "b.toml:"),
    ];
    for (text, place) in cases {
        let folder = folder();
        std::fs::write(folder.path().join("b.toml"), text).expect("a file");
        for command in ["serve", "migrate", "check-config"] {
            let outcome = bytepass(folder.path(), &[command, "--config", "b.toml"], &[]).expect(2);
            assert!(
                outcome.stderr.contains(place) && outcome.stdout.is_empty(),
                "{text}: {outcome:?}"
            );
        }
    }
    let folder = folder();
    let outcome = bytepass(
        folder.path(),
        &["check-config"],
        &[("BYTEPASS_SERVER_LISTN", "a")],
    )
    .expect(2);
    assert!(
        outcome.stderr.contains("BYTEPASS_SERVER_LISTEN"),
        "{}",
        outcome.stderr
    );
}

#[tokio::test]
async fn serve_on_a_taken_port_is_one_line_that_names_it() {
    let test_env = TestEnv::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("an address").to_string();
    let folder = written(&test_env.settings(json!({"server": {"listen": listen}})));
    let line = bytepass(folder.path(), &["serve", "--config", "b.toml"], &[]).expect_line(1);
    assert!(line.contains(&listen), "{line}");
}

#[tokio::test]
async fn an_unreachable_database_is_one_line_without_the_password() {
    let test_env = TestEnv::new().await;
    let dead = free_address();
    let url = format!("postgres://bytepass:canary-password@{dead}/bytepass");
    let folder = written(&test_env.settings(json!({"database": {"url": url}})));
    for command in ["serve", "migrate"] {
        let line = bytepass(folder.path(), &[command, "--config", "b.toml"], &[]).expect_line(1);
        assert!(
            !line.contains("canary") && line.contains("database"),
            "{line}"
        );
        assert!(
            line.contains(&dead.port().to_string()) && !line.contains('\t'),
            "{line}"
        );
    }
    let nowhere = json!({"database": {"url": "sqlite:///proc/nowhere/b.sqlite"}});
    let folder = written(&test_env.settings(nowhere));
    let line = bytepass(folder.path(), &["serve", "--config", "b.toml"], &[]).expect_line(1);
    assert!(line.contains("database"), "{line}");
}

#[tokio::test]
async fn check_config_shows_each_value_with_its_source_and_no_secret() {
    let test_env = TestEnv::new().await;
    let folder = written(
        &test_env
            .settings(json!({"database": {"url": "postgres://b:canary-password@db.example/b"}})),
    );
    let env = [("BYTEPASS_LIMITS_PAGE_MAX", "77")];
    let arguments = [
        "check-config",
        "--config",
        "b.toml",
        "--listen",
        "127.0.0.1:7777",
    ];
    let table = bytepass(folder.path(), &arguments, &env).expect(0).stdout;
    let row = |key: &str| {
        let start = format!("{key} = ");
        let line = table.lines().find(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("no {key} in {table}"));
        let (value, source) = line[start.len()..].rsplit_once("  # ").expect("a source");
        (value.trim().to_owned(), source.to_owned())
    };
    let (value, source) = row("limits.page_max");
    assert_eq!(value, "77");
    assert!(source.contains("BYTEPASS_LIMITS_PAGE_MAX"), "{source}");
    let (value, source) = row("server.listen");
    assert!(
        value.contains("7777") && source.contains("--listen"),
        "{value} {source}"
    );
    let (value, source) = row("storage.bucket");
    assert!(
        value.contains(&test_env.bucket.name) && source.starts_with("b.toml:"),
        "{value} {source}"
    );
    assert_eq!(
        row("limits.page_default"),
        ("50".to_owned(), "default".to_owned())
    );
    let (value, _) = row("database.url");
    assert!(
        value.contains("db.example") && value.contains("***"),
        "{value}"
    );
    for key in ["storage.secret_access_key", "auth.issuers[0].secret"] {
        assert!(row(key).0.contains("***"), "{key}");
    }
    for secret in [
        "canary",
        &test_env.bucket.server.secret_key,
        "secret-of-the-tests",
    ] {
        assert!(!table.contains(secret), "{table}");
    }
    let bare = bytepass(folder.path(), &["check-config"], &[]).expect(2);
    assert!(
        bare.stdout.contains("storage.bucket = \"\"") && bare.stderr.contains("storage.bucket"),
        "{bare:?}"
    );
}

#[tokio::test]
async fn migrate_may_be_run_again_and_serve_refuses_a_schema_that_is_too_old() {
    let test_env = TestEnv::new().await;
    let strict = json!({"database": {"migrate_at_start": false}});
    let folder = written(&test_env.settings(strict.clone()));
    let run = |command| bytepass(folder.path(), &[command, "--config", "b.toml"], &[]);
    let line = run("serve").expect_line(1);
    assert!(line.contains("bytepass migrate"), "{line}");
    let first = run("migrate").expect(0).stdout;
    assert!(
        first.starts_with("applied ") && first.ends_with("up to date\n"),
        "{first}"
    );
    for _ in 0..2 {
        assert_eq!(
            run("migrate").expect(0).stdout,
            "the schema is up to date\n"
        );
    }
    let broker = test_env.broker_with(strict).await;
    broker
        .user()
        .create("Product.image", b"1", "image/png")
        .await
        .expect(201);
}

#[tokio::test]
async fn health_tells_a_container_whether_the_broker_is_ready() {
    let test_env = TestEnv::new().await;
    let folder = folder();
    let health = |listen: &str| {
        bytepass(
            folder.path(),
            &["health", "--listen", listen, "--timeout-secs", "20"],
            &[],
        )
    };
    let broker = test_env.broker().await;
    let ready = health(broker.url.trim_start_matches("http://")).expect(0);
    assert_eq!(
        (ready.stdout.as_str(), ready.stderr.as_str()),
        ("ready\n", "")
    );
    let no_store = json!({"storage": {"endpoint": format!("http://{}", free_address())}});
    let lame = test_env.broker_with(no_store).await;
    let line = health(lame.url.trim_start_matches("http://")).expect_line(1);
    assert!(line.contains("not ready") && line.contains("503"), "{line}");
    let dead = free_address().to_string();
    let line = health(&dead).expect_line(1);
    assert!(line.contains(&dead), "{line}");
    health("nonsense").expect_line(1);
}

#[tokio::test]
async fn serve_with_a_file_does_the_whole_job_and_logs_where_it_listens() {
    let test_env = TestEnv::new().await;
    let settings = |listen: std::net::SocketAddr| {
        test_env.settings(json!({"server": {"listen": listen.to_string()}}))
    };
    let mut broker = BrokerProcess::serve(
        |listen| toml::to_string(&settings(listen)).expect("TOML"),
        &[],
    );
    let user = Api::new(&broker.url, &sign_user(&user_token("1")));
    let confirmed = user
        .upload("Product.image", b"a picture", "image/png")
        .await;
    assert_eq!(confirmed.json["status"], "confirmed");
    // A clean end writes the last lines.
    assert!(broker.terminate().success());
    let log = broker.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect();
    assert!(
        lines
            .iter()
            .any(|line| line["message"] == "listening" && line["url"] == broker.url),
        "{log}"
    );
    let answered = lines
        .iter()
        // Whoever started it asked for /livez until it answered.
        .filter(|line| line["message"] == "request completed" && line["route"] != "/livez")
        .count();
    assert_eq!(answered, 2, "{log}");
}

#[tokio::test]
async fn what_a_start_finds_wrong_with_the_configuration_is_a_mistake_in_it() {
    let test_env = TestEnv::new().await;
    let issuer = json!({
        "name": "shop", "issuer": "shop", "audience": "bytepass", "owner_prefix": "user:", "scopes": ["ops"],
        "algorithm": "ES256", "public_key": "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n",
    });
    let folder = written(&test_env.settings(json!({"auth": {"issuers": [issuer]}})));
    for command in ["serve", "check-config"] {
        let outcome = bytepass(folder.path(), &[command, "--config", "b.toml"], &[]).expect(2);
        let last = outcome.stderr.lines().last().unwrap_or_default();
        assert!(
            last.starts_with("bytepass: ") && last.contains("`shop`"),
            "{outcome:?}"
        );
    }
    for url in ["postgres://u:canary-password", "postgres://u:canary%@db/b"] {
        let folder = written(&test_env.settings(json!({"database": {"url": url}})));
        for command in ["serve", "migrate", "check-config"] {
            let line =
                bytepass(folder.path(), &[command, "--config", "b.toml"], &[]).expect_line(2);
            assert!(
                line.contains("database.url") && !line.contains("canary"),
                "{line}"
            );
        }
    }
}
