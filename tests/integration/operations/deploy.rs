//! The bucket settings in `deploy/`, applied to a real bucket.

use aws_sdk_s3::types::{CorsConfiguration, CorsRule};
use serde_json::Value;

use crate::support::api::http_client;
use crate::support::test_env::TestEnv;

fn file(name: &str) -> Value {
    let path = format!("{}/deploy/bucket/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().expect("a list");
    list.iter()
        .map(|item| item.as_str().expect("a string").to_owned())
        .collect()
}

#[tokio::test]
async fn cors_file_allows_every_header_of_a_presigned_request() {
    let test_env = TestEnv::new().await;
    let rule = &file("cors.json")["CORSRules"][0];
    if std::env::var_os("BYTEPASS_TEST_S3_ENDPOINT").is_some() {
        let rule = CorsRule::builder()
            .set_allowed_origins(Some(strings(&rule["AllowedOrigins"])))
            .set_allowed_methods(Some(strings(&rule["AllowedMethods"])))
            .set_allowed_headers(Some(strings(&rule["AllowedHeaders"])))
            .set_expose_headers(Some(strings(&rule["ExposeHeaders"])))
            .build()
            .expect("a rule");
        let rules = CorsConfiguration::builder()
            .cors_rules(rule)
            .build()
            .expect("rules");
        let put = test_env
            .bucket
            .client
            .put_bucket_cors()
            .bucket(&test_env.bucket.name);
        put.cors_configuration(rules)
            .send()
            .await
            .expect("the bucket takes it");
    }
    let broker = test_env.broker().await;
    let created = broker
        .user()
        .create("Product.image", b"x", "image/png")
        .await
        .expect(201);
    let url = created.json["presigned"]["url"].as_str().expect("a URL");
    let answer = http_client()
        .request(reqwest::Method::OPTIONS, url)
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "PUT")
        .header(
            "access-control-request-headers",
            "content-type,x-amz-checksum-sha256",
        )
        .send()
        .await
        .expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
    let header = |name: &str| {
        answer
            .headers()
            .get(name)
            .map_or("", |v| v.to_str().unwrap())
            .to_lowercase()
    };
    assert!(
        ["*", "https://shop.example"].contains(&header("access-control-allow-origin").as_str())
    );
    assert!(header("access-control-allow-methods").contains("put"));
    let allowed = header("access-control-allow-headers");
    assert!(
        allowed.contains("content-type") || allowed == "*",
        "{allowed}"
    );
}

#[test]
fn policy_files_name_only_the_two_prefixes_and_the_signer_may_only_put() {
    for name in [
        "iam-broker.json",
        "iam-signer.json",
        "policy-public-fields.json",
    ] {
        for statement in file(name)["Statement"].as_array().expect("statements") {
            assert!(
                !statement["Action"].to_string().contains('*'),
                "{name}: {statement}"
            );
        }
    }
    let signer = &file("iam-signer.json")["Statement"];
    assert_eq!(signer.as_array().map(Vec::len), Some(1));
    assert_eq!(signer[0]["Action"], "s3:PutObject");
    assert_eq!(signer[0]["Resource"], "arn:aws:s3:::shop-media/staging/*");
}

#[test]
fn lifecycle_file_outlasts_every_default_deadline_and_covers_staging_only() {
    let rule = &file("lifecycle.json")["Rules"][0];
    assert_eq!(rule["Filter"]["Prefix"], "staging/");
    let days = rule["Expiration"]["Days"].as_u64().expect("days");
    let config = bytepass::config::Config::load(&bytepass::config::Sources::default());
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    for policy in config.fields().iter() {
        assert!(
            days * 86_400 >= 2 * u64::from(policy.upload_lifetime_secs),
            "{}",
            policy.name
        );
    }
}

#[test]
fn notification_files_select_only_new_objects_below_staging() {
    for name in ["notification-sns.json", "notification-ceph.json"] {
        let topics = file(name)["TopicConfigurations"].clone();
        assert_eq!(topics.as_array().map(Vec::len), Some(1), "{name}");
        assert_eq!(strings(&topics[0]["Events"]), ["s3:ObjectCreated:*"]);
        let rule = &topics[0]["Filter"]["Key"]["FilterRules"][0];
        assert_eq!(
            (&rule["Name"], &rule["Value"]),
            (&"prefix".into(), &"staging/".into())
        );
    }
    let pattern = file("eventbridge-pattern.json");
    assert_eq!(strings(&pattern["detail-type"]), ["Object Created"]);
    assert_eq!(pattern["detail"]["object"]["key"][0]["prefix"], "staging/");
    let policy = &file("sns-topic-policy.json")["Statement"];
    assert_eq!(policy.as_array().map(Vec::len), Some(1));
    assert_eq!(policy[0]["Action"], "sns:Publish");
    assert_eq!(
        policy[0]["Condition"]["StringEquals"]["aws:SourceAccount"],
        "ACCOUNT"
    );
}
