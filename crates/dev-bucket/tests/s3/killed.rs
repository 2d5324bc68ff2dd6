//! The bucket as a process that is killed.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytepass_dev_bucket::DevBucket;

use super::running::{BUCKET, Running, http, options, running};

const FOLDER: &str = "BYTEPASS_TEST_KILLED_BUCKET";

/// Different bytes for each key, up to 1.5 MB.
fn bytes(writer: usize, number: usize) -> Vec<u8> {
    let length = number * 50_021 % 1_500_000;
    let seed = writer * 31 + number;
    (0..length).map(|at| (at + seed) as u8).collect()
}

#[test]
#[ignore = "the process that the next test starts and kills"]
fn bucket_process_to_kill() {
    let folder = std::env::var_os(FOLDER).expect("the next test sets it");
    let bucket = DevBucket::start(options(folder.as_ref())).unwrap();
    println!("listening on {}", bucket.addr());
    std::thread::sleep(Duration::from_secs(60));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_bucket_keeps_answered_objects_and_no_partial_one() {
    let mut bucket = running();
    bucket.bucket.take().unwrap().stop();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("killed::bucket_process_to_kill")
        .env(FOLDER, bucket.dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("listening on ").map(|it| it.1.to_owned()))
        .unwrap();
    let dead = Arc::new(AtomicBool::new(false));
    let writers = (0..4).map(|writer| {
        let (address, dead) = (address.clone(), Arc::clone(&dead));
        tokio::spawn(write(address, writer, dead))
    });
    let writers: Vec<_> = writers.collect();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    child.kill().unwrap();
    child.wait().unwrap();
    dead.store(true, Ordering::SeqCst);
    let mut answered = Vec::new();
    for writer in writers {
        answered.push(writer.await.unwrap());
    }

    bucket.bucket = Some(DevBucket::start(options(bucket.dir.path())).unwrap());

    assert!(answered.iter().sum::<usize>() > 20, "{answered:?}");
    for (writer, count) in answered.into_iter().enumerate() {
        for number in 0..count {
            let stored = bucket.read(BUCKET, &format!("{writer}/{number}")).await;
            assert!(stored == Some(bytes(writer, number)), "{writer}/{number}");
        }
    }
    assert_eq!(bucket.files(), listed(&bucket).await);
}

/// Writes one key after the other; returns how many PUTs were answered with 200.
async fn write(address: String, writer: usize, dead: Arc<AtomicBool>) -> usize {
    let client = http();
    let mut answered = 0;
    while !dead.load(Ordering::SeqCst) {
        let path = format!("/{BUCKET}/{writer}/{answered}");
        let target = super::sign::Presign::new("PUT", address.clone(), &path).target();
        let put = client.put(format!("http://{address}{target}"));
        match put.body(bytes(writer, answered)).send().await {
            Ok(response) if response.status() == 200 => answered += 1,
            _ => break,
        }
    }
    answered
}

/// Returns the number of objects. Each must be complete.
async fn listed(bucket: &Running) -> usize {
    let sdk = bucket.sdk();
    let mut pages = sdk.list_objects_v2().bucket(BUCKET).into_paginator().send();
    let mut count = 0;
    while let Some(page) = pages.next().await {
        for object in page.unwrap().contents() {
            let read = bucket.read(BUCKET, object.key().unwrap()).await.unwrap();
            let (writer, number) = object.key().unwrap().split_once('/').unwrap();
            assert!(read == bytes(writer.parse().unwrap(), number.parse().unwrap()));
            count += 1;
        }
    }
    count
}
