//! Starting, stopping and restarting the bucket.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aws_sdk_s3::types::ChecksumMode;
use bytepass_dev_bucket::DevBucket;

use super::running::{BUCKET, OTHER, options, running};
use super::sign::SECRET_KEY;

#[tokio::test]
async fn restart_keeps_every_object_and_multipart_upload() {
    let mut bucket = running();
    let mut expected = Vec::new();
    for number in 0..20_u8 {
        let key = format!("k/{number}");
        let bytes = vec![number; usize::from(number) * 10_000];
        let etag = bucket.put(&key, &bytes).await;
        expected.push((key, bytes, etag));
    }
    let (name, value) = ("x-amz-checksum-crc32", "NhCmhg==");
    let signed = bucket.presign("PUT", "/media/sum").header(name, value);
    let target = signed.target();
    bucket
        .send("PUT", &target, &[(name, value)], b"hello")
        .await;
    let create = bucket.sdk().create_multipart_upload().bucket(BUCKET);
    let created = create.key("big").send().await.unwrap();
    let part = bucket.sdk().upload_part().bucket(BUCKET).key("big");
    let part = part.upload_id(created.upload_id().unwrap()).part_number(1);
    part.body(b"one".to_vec().into()).send().await.unwrap();
    let before = bucket.files();

    bucket.restart();

    assert_eq!(bucket.files(), before);
    for (key, bytes, etag) in expected {
        assert!(bucket.read(BUCKET, &key).await.unwrap() == bytes, "{key}");
        let head = bucket.sdk().head_object().bucket(BUCKET).key(&key);
        let head = head.send().await.unwrap();
        assert_eq!(head.e_tag(), Some(&*format!("\"{etag}\"")));
    }
    let head = bucket.sdk().head_object().bucket(BUCKET).key("sum");
    let head = head.checksum_mode(ChecksumMode::Enabled).send().await;
    assert_eq!(head.unwrap().checksum_crc32(), Some(value));
    let parts = bucket.sdk().list_parts().bucket(BUCKET).key("big");
    let parts = parts.upload_id(created.upload_id().unwrap()).send().await;
    assert_eq!(parts.unwrap().parts().len(), 1);
}

#[tokio::test]
async fn files_without_a_row_are_removed_at_start() {
    let mut bucket = running();
    bucket.put("k", b"kept").await;
    bucket.bucket.take().unwrap().stop();
    for left in [
        "incoming/draft",
        "blobs/ab/ab00000000000000000000000000cdef",
    ] {
        std::fs::write(bucket.dir.path().join(left), b"half an object").unwrap();
    }
    assert_eq!(bucket.files(), 3);
    bucket.bucket = Some(DevBucket::start(options(bucket.dir.path())).unwrap());
    assert_eq!(bucket.files(), 1);
    assert_eq!(bucket.read(BUCKET, "k").await.unwrap(), b"kept");
}

#[test]
fn unusable_option_is_named_in_a_one_line_error() {
    let bucket = running();
    let dir = tempfile::tempdir().unwrap();
    let failure = |change: &dyn Fn(&mut bytepass_dev_bucket::DevBucketOptions)| {
        let mut options = options(dir.path());
        change(&mut options);
        let line = DevBucket::start(options).unwrap_err().to_string();
        assert_eq!(line.lines().count(), 1, "{line}");
        line
    };
    let taken = bucket.bucket.as_ref().unwrap().addr();
    let line = failure(&|options| options.listen = taken);
    assert!(line.contains(&taken.to_string()), "{line}");
    let file = dir.path().join("a-file");
    std::fs::write(&file, b"").unwrap();
    let line = failure(&|options| options.data_dir = file.clone());
    assert!(line.contains("a-file"), "{line}");
    let line = failure(&|options| options.data_dir = bucket.dir.path().to_owned());
    assert!(line.contains("another development bucket"), "{line}");
    let line = failure(&|options| options.buckets = vec!["No_Bucket".to_owned()]);
    assert!(line.contains("No_Bucket"), "{line}");
    let line = failure(&|options| options.public_prefixes = vec!["/".to_owned()]);
    assert!(line.contains("public"), "{line}");
}

#[test]
fn debug_output_hides_the_secret() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    assert!(!format!("{options:?}").contains(SECRET_KEY));
    let bucket = DevBucket::start(options).unwrap();
    assert!(!format!("{bucket:?}").contains(SECRET_KEY));
    assert_eq!(bucket.url(), format!("http://{}", bucket.addr()));
    assert_ne!(bucket.addr().port(), 0);
}

#[test]
fn stop_is_quick_with_idle_connections_and_bounded_with_stuck_ones() {
    let bucket = running();
    let idle: Vec<TcpStream> = (0..10)
        .map(|_| TcpStream::connect(bucket.host()).unwrap())
        .collect();
    std::thread::sleep(Duration::from_millis(50));
    let host = bucket.host();
    let start = Instant::now();
    drop(bucket);
    assert!(start.elapsed() < Duration::from_secs(3));
    for mut stream in idle {
        assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
    assert!(TcpStream::connect(&host).is_err());

    let bucket = running();
    let signed = bucket.presign("PUT", "/media/k");
    let target = signed.header("content-length", "5").target();
    let mut stuck = TcpStream::connect(bucket.host()).unwrap();
    let host = bucket.host();
    let request = format!("PUT {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nab");
    std::io::Write::write_all(&mut stuck, request.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    drop(bucket);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn two_buckets_in_one_process_share_no_objects() {
    let (one, two) = (running(), running());
    one.put("k", b"one").await;
    assert_eq!(two.read(BUCKET, "k").await, None);
    assert_eq!(one.read(OTHER, "k").await, None);
}

#[test]
fn log_shows_the_cause_of_a_failure_and_no_signature() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let writer = std::sync::Arc::clone(&seen);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || Sink(std::sync::Arc::clone(&writer)))
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let bucket = running();
        let target = bucket.presign("PUT", "/media/k").target();
        let (_, signature) = target.rsplit_once('=').unwrap();
        let host = bucket.host();
        for method in ["PUT", "GET", "POST"] {
            bucket.raw(
                format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
                    .as_bytes(),
            );
        }
        // Removing the blobs makes the server fail, which it logs with the cause.
        let target = bucket.presign("PUT", "/media/k").target();
        let ask = |method: &str, target: &str| {
            bucket.raw(
                format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            )
        };
        assert!(ask("PUT", &target).starts_with("HTTP/1.1 200"));
        std::fs::remove_dir_all(bucket.dir.path().join("blobs")).unwrap();
        let target = bucket.presign("GET", "/media/k").target();
        assert!(ask("GET", &target).starts_with("HTTP/1.1 503"));
        let target = bucket.presign("PUT", "/media/l").target();
        assert!(ask("PUT", &target).starts_with("HTTP/1.1 500"));
        let log = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
        assert!(log.contains("could not answer"), "{log}");
        assert!(log.contains("No such file"), "the cause: {log}");
        assert!(!log.contains("X-Amz-Signature"), "{log}");
        assert!(!log.contains(signature), "{log}");
        assert!(!log.contains(SECRET_KEY), "{log}");
    });
}

struct Sink(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
