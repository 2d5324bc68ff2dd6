//! boto3, the most used S3 client, against the development bucket.

use std::io::Write as _;
use std::process::Command;

use super::running::{BUCKET, running};
use super::sign::{ACCESS_KEY, SECRET_KEY};

#[test]
fn boto3_agrees_with_the_development_bucket() {
    let Some(python) = std::env::var_os("BYTEPASS_TEST_PYTHON") else {
        // Past the test harness, which hides the output of passed tests; tests/run reads this line.
        let line = "skipped: needs BYTEPASS_TEST_PYTHON, which tests/run sets (boto3::boto3_agrees_with_the_development_bucket)\n";
        std::io::stderr()
            .write_all(line.as_bytes())
            .expect("standard error is open");
        return;
    };
    let bucket = running();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/boto3_client.py");
    let output = Command::new(python)
        .arg(script)
        .env("BUCKET_URL", bucket.url())
        .env("BUCKET_NAME", BUCKET)
        .env("ACCESS_KEY", ACCESS_KEY)
        .env("SECRET_KEY", SECRET_KEY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("OK") && said.contains("Ran "), "{said}");
}
