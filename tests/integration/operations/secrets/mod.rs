//! No secret, token, signature or personal file name appears in a log line, a problem document or a database, at the most verbose log
//! level and with every possible failure.

mod serve;

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, send};
use crate::support::broker_process::{BrokerProcess, free_address};
use crate::support::command::bytepass;
use crate::support::raw_http::RawHttp;
use crate::support::receipts::PEM;
use crate::support::statuses::BYTES;

const TALKATIVE: [(&str, &str); 2] = [("RUST_LOG", "trace"), ("BYTEPASS_LOG", "trace")];
const PERSON: &str = "Ada-Lovelace-1815-passport.jpg";

/// The secrets that must not appear, by name.
type Canaries = BTreeMap<String, String>;

fn hits(canaries: &Canaries, haystack: &[u8]) -> Vec<String> {
    let contains = |needle: &str| {
        haystack
            .windows(needle.len())
            .any(|at| at == needle.as_bytes())
    };
    canaries
        .iter()
        .filter(|(_, secret)| contains(secret))
        .map(|(what, _)| what.clone())
        .collect()
}

#[track_caller]
fn clean(place: &str, canaries: &Canaries, haystack: &[u8]) {
    for (what, secret) in canaries {
        assert!(secret.len() >= 12, "{what} is too short to be looked for");
    }
    let found = hits(canaries, haystack);
    assert!(found.is_empty(), "{place} shows {found:?}");
}

/// Keeps the signature and the security token of a presigned URL.
fn keep_url(canaries: &mut Canaries, url: &str) {
    for (name, value) in url::Url::parse(url).expect("a URL").query_pairs() {
        if ["X-Amz-Signature", "X-Amz-Security-Token"].contains(&&*name) {
            let number = canaries.len();
            canaries.insert(format!("{name} {number}"), value.into_owned());
        }
    }
}

/// Sends every kind of valid and invalid request; returns the problems, and adds issued secrets to the canaries.
async fn drive(user: &Api, canaries: &mut Canaries) -> Vec<Answer> {
    let body = json!({"field": "Product.image", "filename": PERSON, "content_type": "image/jpeg", "size": BYTES.len()});
    let created = user.post("/v1/uploads", &body).await.expect(201);
    keep_url(
        canaries,
        created.json["presigned"]["url"].as_str().expect("a URL"),
    );
    let path = format!("/v1/uploads/{}", created.id());
    let mut answers = vec![user.confirm(created.id()).await];
    let again = user
        .post_empty(&format!("{path}/presign"))
        .await
        .expect(200);
    keep_url(
        canaries,
        again.json["presigned"]["url"].as_str().expect("a URL"),
    );
    let put = user.put(&again, BYTES).await;
    answers.push(user.confirm(created.id()).await);
    answers.push(user.confirm(created.id()).await);
    answers.push(user.post_empty(&format!("{path}/presign")).await);
    let download = user.get(&format!("{path}/download")).await;
    if let Some(url) = download.json["url"].as_str() {
        keep_url(canaries, url);
    }
    for change in [
        ("field", "Secret.none"),
        ("content_type", "text/html"),
        ("filename", ""),
        ("size", PERSON),
        (PERSON, PERSON),
    ] {
        let mut wrong = body.clone();
        wrong[change.0] = json!(change.1);
        answers.push(user.post("/v1/uploads", &wrong).await);
    }
    let raw = user
        .request(Method::POST, "/v1/uploads")
        .header("content-type", "application/json");
    answers.push(send(raw.body(format!("{{\"filename\":\"{PERSON}\",,"))).await);
    for get in [
        &path,
        "/v1/uploads",
        "/v1/stats",
        "/livez",
        "/readyz",
        "/openapi.json",
        "/docs",
        "/problems",
        "/nowhere",
    ] {
        answers.push(user.get(get).await);
        answers.push(
            user.get(&format!("{get}?access_token={PERSON}&q={PERSON}"))
                .await,
        );
    }
    answers.push(user.delete(&path).await);
    answers.push(user.delete(&path).await);
    answers.push(put);
    answers.retain(|answer| answer.header("content-type") == "application/problem+json");
    assert!(answers.len() > 8);
    answers
}

/// Secrets that no problem may show. A member that a request named itself may be returned to its sender.
fn without_person(canaries: &Canaries) -> Canaries {
    let mut canaries = canaries.clone();
    canaries.remove("a person's file name");
    canaries
}

fn panics_of_a_broken_line(url: &str, token: &str) {
    let mut line = RawHttp::to(url);
    line.say(format!("POST /v1/uploads HTTP/1.1\r\nhost: b\r\nauthorization: Bearer {token}\r\nx: {PERSON}\u{0}\r\n\r\n"));
    line.hear_all();
}

fn files_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| {
            Some((
                entry.path().display().to_string(),
                std::fs::read(entry.path()).ok()?,
            ))
        })
        .collect()
}

#[test]
fn dev_at_trace_level_shows_no_secret_in_logs_problems_and_files() {
    let broker = BrokerProcess::dev_with(&TALKATIVE);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let secrets =
        std::fs::read(broker.folder().join("data/dev-secrets.json")).expect("dev's secrets");
    let secrets: Value = serde_json::from_slice(&secrets).expect("JSON");
    let mut canaries: Canaries = [("a person's file name".to_owned(), PERSON.to_owned())].into();
    for (name, value) in secrets.as_object().expect("secrets") {
        canaries.insert(name.clone(), value.as_str().expect("a text").to_owned());
    }
    for (name, value) in broker.ready["tokens"].as_object().expect("tokens") {
        let token = value.as_str().expect("a text");
        canaries.insert(format!("{name}'s token"), token.to_owned());
        let signature = token.rsplit('.').next().expect("a signature");
        canaries.insert(format!("{name}'s signature"), signature.to_owned());
    }
    let forged = format!(
        "{}x",
        broker.ready["tokens"]["user"].as_str().expect("a token")
    );
    let forger = Api::new(&broker.url, &forged);
    let mut problems = Vec::new();
    for caller in ["user", "other_user"] {
        problems.extend(runtime.block_on(drive(&broker.api(caller), &mut canaries)));
    }
    problems.push(runtime.block_on(forger.get("/v1/uploads")));
    problems.push(runtime.block_on(broker.api("service").get("/v1/stats")));
    runtime
        .block_on(broker.api("ops").get("/v1/stats"))
        .expect(200);
    panics_of_a_broken_line(&broker.url, &forged);
    assert!(canaries.len() > 12, "{:?}", canaries.keys());

    for problem in &problems {
        clean(
            "a problem",
            &without_person(&canaries),
            format!("{problem:?}").as_bytes(),
        );
    }
    let log = broker.log();
    assert!(
        log.lines().count() > 30 && log.contains("request completed"),
        "{log}"
    );
    clean("standard error", &canaries, log.as_bytes());
    assert!(!log.contains("X-Amz-") && !log.contains("Bearer"), "{log}");
    clean("standard output", &canaries, broker.output().as_bytes());
    let files = files_below(&broker.folder().join("data"));
    let databases: Vec<_> = files
        .iter()
        .filter(|(name, _)| name.contains("sqlite"))
        .collect();
    assert!(
        databases.len() >= 2,
        "{databases:?}",
        databases = databases.iter().map(|it| &it.0).collect::<Vec<_>>()
    );
    for (name, bytes) in databases {
        clean(name, &without_person(&canaries), bytes);
        assert_eq!(
            hits(
                &[("url".to_owned(), "X-Amz-Signature".to_owned())].into(),
                bytes
            ),
            [""; 0]
        );
    }
}

#[test]
fn failed_start_shows_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let secrets = [
        "canary-database-password",
        "canary-storage-secret-key",
        "canary-issuer-secret-32-bytes-and-more",
    ];
    let write = |name: &str, database: &str, more: &str| {
        let text = format!(
            "[database]\nurl = \"{database}\"\n[storage]\nbucket = \"media\"\naccess_key_id = \"AKIA\"\nsecret_access_key = \"{}\"\n{more}\n\
             [receipts]\nkeys = [{{ kid = \"a\", pem_env = \"RECEIPTS_KEY\" }}]\n\
             [[auth.issuers]]\nname = \"a\"\nissuer = \"a\"\naudience = \"b\"\nowner_prefix = \"user:\"\nscopes = [\"ops\"]\nsecret = \"{}\"\n",
            secrets[1], secrets[2]
        );
        std::fs::write(folder.path().join(name), text).expect("a file");
    };
    let dead = format!("postgres://bytepass:{}@{}/b", secrets[0], free_address());
    write("dead.toml", &dead, "");
    write("key.toml", &dead, "unknown = 1");
    write(
        "url.toml",
        &format!("mysql://bytepass:{}@h/b", secrets[0]),
        "",
    );
    let mut canaries: Canaries = secrets
        .map(|secret| (secret.to_owned(), secret.to_owned()))
        .into();
    let body = PEM.lines().nth(1).expect("a body").to_owned();
    canaries.insert("the key of receipts".to_owned(), body);
    let env = [TALKATIVE[0], TALKATIVE[1], ("RECEIPTS_KEY", PEM)];
    for command in ["serve", "migrate", "check-config"] {
        for file in ["dead.toml", "key.toml", "url.toml"] {
            let outcome = bytepass(folder.path(), &[command, "--config", file], &env);
            let all = format!("{}{}", outcome.stdout, outcome.stderr);
            clean(&format!("{command} {file}"), &canaries, all.as_bytes());
            assert_eq!(
                outcome.code == 0,
                (command, file) == ("check-config", "dead.toml"),
                "{all}"
            );
        }
    }
}
