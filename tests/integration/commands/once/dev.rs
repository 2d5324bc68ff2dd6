//! `bytepass dev`: its output, its data folder and the commands that it prints.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::commands::folder;
use crate::support::api::Api;
use crate::support::broker_process::{BrokerProcess, free_address};
use crate::support::command::{Outcome, bytepass, run};
use crate::support::needs_program;

pub const PNG: &[u8] = b"\x89PNG a picture";

/// The claims of a token, unchecked.
pub fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("claims");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

#[tokio::test]
async fn dev_prints_one_line_of_json_with_two_addresses_and_four_tokens() {
    let broker = BrokerProcess::dev();
    let names = |value: &Value| {
        value
            .as_object()
            .map(|it| it.keys().cloned().collect::<Vec<_>>())
    };
    assert_eq!(
        names(&broker.ready),
        Some(
            ["bucket_url", "demo_url", "metrics_url", "tokens", "url"]
                .map(str::to_owned)
                .into()
        )
    );
    let port = |url: &str| {
        url.rsplit(':')
            .next()
            .and_then(|port| port.parse::<u16>().ok())
    };
    let metrics_url = broker.ready["metrics_url"].as_str().expect("a URL");
    let metrics = metrics_url.strip_suffix("/metrics").expect("its path");
    for url in [broker.url.as_str(), broker.bucket_url(), metrics] {
        assert!(
            url.starts_with("http://127.0.0.1:") && port(url) > Some(0),
            "{url}"
        );
    }
    let tokens = [
        ("user", "uploads:write"),
        ("other_user", "uploads:write"),
        ("service", "uploads:confirm attachments:write grants:write"),
        ("ops", "ops"),
    ];
    assert_eq!(
        broker.ready["tokens"].as_object().map(serde_json::Map::len),
        Some(4)
    );
    for (name, scope) in tokens {
        let token = broker.ready["tokens"][name].as_str().expect("a token");
        assert_eq!(claims(token)["scope"], scope, "{name}");
    }
    let user = broker.api("user");
    let confirmed = user.upload("Product.image", PNG, "image/png").await;
    let other = broker.api("other_user");
    other
        .read(confirmed.id())
        .await
        .expect_problem(404, "upload-not-found");
    broker.api("service").read(confirmed.id()).await.expect(200);
    let stats = broker.api("ops").get("/v1/stats").await.expect(200);
    assert_eq!(stats.json["data"][0]["count"], 1);
    assert_eq!(broker.output(), "", "one line and no more");
}

#[tokio::test]
async fn a_restart_on_the_same_folder_keeps_uploads_objects_and_tokens() {
    let mut broker = BrokerProcess::dev();
    let confirmed = broker
        .api("user")
        .upload("Product.image", PNG, "image/png")
        .await;
    let pending = broker
        .api("user")
        .create("Product.image", PNG, "image/png")
        .await
        .expect(201);
    let old_token = broker.ready["tokens"]["user"]
        .as_str()
        .expect("a token")
        .to_owned();
    assert_eq!(broker.terminate().code(), Some(0));
    let broker = broker.restart();
    let user = Api::new(&broker.url, &old_token);
    let mut expected = confirmed.upload();
    let read = user.read(confirmed.id()).await.expect(200);
    // The bucket has another port now.
    expected["url"] = read.json["url"].clone();
    assert_eq!(read.json, expected);
    let bytes = reqwest::get(read.json["url"].as_str().expect("a URL"))
        .await
        .expect("an answer");
    assert_eq!(bytes.bytes().await.expect("a body"), PNG);
    let again = user
        .post_empty(&format!("/v1/uploads/{}/presign", pending.id()))
        .await
        .expect(200);
    user.put(&again, PNG).await.expect(200);
    user.confirm(pending.id()).await.expect(200);
}

/// A plain `bytepass dev` in this folder; its words until it is ready.
pub fn plain_dev(folder: &Path, listen: &str, more: &[&str]) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bytepass"))
        .args(["dev", "--listen", listen, "--bucket-listen", listen])
        .args(more)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut words = String::new();
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    while let Some(Ok(line)) = lines.next() {
        words += &line;
        words.push('\n');
        if line.contains("Ctrl-C") || line.starts_with('{') {
            break;
        }
    }
    // Read on, so that it never meets a closed pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (child, words)
}

#[test]
fn commands_that_dev_prints_upload_a_picture_when_pasted() {
    if !needs_program("bash") || !needs_program("curl") {
        return;
    }
    let folder = folder();
    for data_dir in ["bytepass-data", "it's a folder/data $HOME"] {
        let more = ["--data-dir", data_dir];
        let (mut child, words) = plain_dev(folder.path(), "127.0.0.1:0", &more);
        let outcome = pasted(folder.path(), &words);
        let _ = child.kill();
        let _ = child.wait();
        check_pasted(outcome);
        assert!(words.matches("http://127.0.0.1:").count() >= 3, "{words}");
        assert!(words.contains("/demo "), "{words}");
    }
}

/// Runs all that is indented and no heading or comment, as it is meant to be pasted.
pub fn pasted(folder: &Path, words: &str) -> Outcome {
    let pasted: Vec<&str> = words
        .lines()
        .filter(|line| {
            ["TOKEN=", "UPLOAD=", "curl "]
                .iter()
                .any(|start| line.trim_start().starts_with(start))
        })
        .collect();
    assert_eq!(words.matches("curl ").count(), 3, "{words}");
    let script = pasted.join("\n");
    run(Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder))
}

/// Holds that the pasted commands brought the picture in; gives the confirmed upload.
#[track_caller]
pub fn check_pasted(outcome: Outcome) -> Value {
    let outcome = outcome.expect(0);
    assert_eq!(outcome.stderr, "");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let [pending, put, confirmed] = lines[..] else {
        panic!("{outcome:?}")
    };
    let upload = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
    assert_eq!(upload(pending)["status"], "pending");
    assert_eq!(put, "the bucket answered 200");
    let confirmed = upload(confirmed);
    assert_eq!(confirmed["status"], "confirmed");
    confirmed
}

#[test]
fn the_secrets_of_dev_are_its_owners_to_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let broker = BrokerProcess::dev();
    let mode = |path: &str| {
        let path = broker.folder().join(path);
        std::fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        (mode("data"), mode("data/dev-secrets.json")),
        (0o700, 0o600)
    );
}

#[test]
fn dev_on_a_taken_port_is_one_line_that_names_it() {
    let first = BrokerProcess::dev();
    let taken = first.url.trim_start_matches("http://");
    let folder = folder();
    let other = free_address().to_string();
    for (listen, bucket) in [(taken, other.as_str()), (&other, taken)] {
        let arguments = [
            "dev",
            "--listen",
            listen,
            "--bucket-listen",
            bucket,
            "--data-dir",
            "d",
        ];
        let line = bytepass(folder.path(), &arguments, &[]).expect_line(1);
        assert!(line.contains(taken), "{line}");
    }
    std::fs::write(folder.path().join("file"), "").expect("a file");
    let line = bytepass(folder.path(), &["dev", "--data-dir", "file"], &[]).expect_line(1);
    assert!(line.contains("file"), "{line}");
}
