//! SNS messages with forged signatures, and certificates and subscriptions of other hosts, are refused.

use std::sync::Arc;

use bytepass::auth::{AuthError, EventSenders, SnsMessage};
use bytepass::config::{Events, SnsTopic};
use bytepass::outbound::{LookupAnswer, Outbound};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::support::bucket_notifications::notify_as_sns;
use crate::support::sns::{CERTIFICATE, ENDED, Sns, TOPIC, sign};
use crate::support::test_env::TestEnv;

/// The notification `hello` of 2026-11-23 without a subject, signed with SHA-1 by openssl.
const SHA1: &str = "RE6DBQ57LyJiNy95/EF/8Qdue6m8ZlOTv6lrqteSqrFd511JlWmq0AjjwMXwC6Db2iNB//s+JUgr7wpqIU+QAlNiR/y4u2txX5sNhY6M88rMHtjJYhZ1Kr+SZqVhKw2aKnCzadqWruQhlwYrCjWsU7prSeQLQtTADv9SVU9m00t4ETZhMR5N5qOGdFfbjSWlcwlYIZviaWQr26OKVPfy5NjCWXYZ58EqZSutj1F34etvZlmNa7NIb66ojXU/i8wCbYh0O3axopozHEqFM/eyAdugEmzrkLMGnvP2WgBWUEqQUyUBRvgR1AgDNiDaoGmdVdRYjUaIU9LjXCaxFub3BA==";

fn events(sns_topics: Vec<SnsTopic>, sns_allow_sha1: bool) -> Events {
    Events {
        sns_topics,
        sns_allow_sha1,
        secret: None,
        previous_secret: None,
        queue_len: 1,
    }
}

fn senders(sns: &Sns, allow_sha1: bool) -> EventSenders {
    let (arn, origin) = (TOPIC.to_owned(), sns.origin.clone());
    let topics = vec![SnsTopic { arn, origin }];
    let outbound = Outbound::new().expect("a client");
    EventSenders::new(&events(topics, allow_sha1), outbound)
}

async fn judge(senders: &EventSenders, message: &Value) -> Result<(), AuthError> {
    let text = message.to_string();
    let message = SnsMessage::parse(text.as_bytes()).unwrap_or_else(|| panic!("unread: {text}"));
    senders.verify(&message, 1, Utc::now()).await
}

fn changed(message: &Value, name: &str, value: &str) -> Value {
    let mut message = message.clone();
    message[name] = json!(value);
    message
}

#[tokio::test]
async fn sns_message_changed_after_signing_is_refused() {
    let sns = Sns::start(CERTIFICATE).await;
    let senders = senders(&sns, false);
    let good = sns.notification("hello");
    assert_eq!(judge(&senders, &good).await, Ok(()));
    let other = sns.notification("other");
    let signature = good["Signature"].as_str().expect("text");
    let mut forged = vec![
        changed(&good, "Message", "hullo"),
        changed(&good, "MessageId", "1"),
        changed(&good, "Subject", "x"),
        changed(&good, "Timestamp", "2026-11-23T22:00:01.000Z"),
        changed(&good, "Type", "UnsubscribeConfirmation"),
        changed(&good, "Signature", ""),
        changed(&good, "Signature", &signature[4..]),
        changed(&good, "Signature", "not base64!"),
        changed(
            &good,
            "Signature",
            other["Signature"].as_str().expect("text"),
        ),
        changed(&good, "SignatureVersion", "1"),
        changed(&good, "SignatureVersion", "3"),
        changed(&good, "SignatureVersion", ""),
    ];
    let mut bare = good.clone();
    bare.as_object_mut().expect("an object").remove("Subject");
    forged.push(bare);
    // A valid signature, but a topic that is not configured.
    forged.push(sign(changed(&good, "TopicArn", &format!("{TOPIC}2"))));
    // A line moved from one member to the next changes the signed text.
    forged.push(changed(&good, "Message", "hello\nMessageId"));
    for message in forged {
        let judged = judge(&senders, &message).await;
        assert!(
            matches!(judged, Err(AuthError::Invalid { .. })),
            "{judged:?}: {message}"
        );
    }
    assert_eq!(judge(&senders, &good).await, Ok(()));
    assert_eq!(sns.asked().len(), 1);
}

#[tokio::test]
async fn sha1_signature_is_accepted_only_when_configured() {
    let sns = Sns::start(CERTIFICATE).await;
    let message = json!({
        "Type": "Notification", "MessageId": "m-1", "TopicArn": TOPIC, "Message": "hello",
        "Timestamp": "2026-11-23T22:00:00.000Z", "SignatureVersion": "1", "Signature": SHA1,
        "SigningCertURL": sns.certificate_url(),
    });
    assert_eq!(judge(&senders(&sns, true), &message).await, Ok(()));
    let refused = judge(&senders(&sns, false), &message).await;
    let Err(AuthError::Invalid { reason }) = refused else {
        panic!("{refused:?}");
    };
    assert!(reason.contains("events.sns_allow_sha1"), "{reason}");
    let other = changed(&message, "Message", "hullo");
    assert!(judge(&senders(&sns, true), &other).await.is_err());
}

#[tokio::test]
async fn certificate_and_subscription_urls_of_other_hosts_are_never_fetched() {
    let (sns, stranger) = (Sns::start(CERTIFICATE).await, Sns::start(CERTIFICATE).await);
    let test_env = TestEnv::new().await;
    let broker = test_env.broker_with(sns.settings()).await;
    let good = sns.notification("hello");
    let host = sns.origin.trim_start_matches("http://");
    let name = "SimpleNotificationService-0a1b2c.pem";
    let urls = [
        stranger.certificate_url(),
        format!("{}/{name}", stranger.origin),
        format!(
            "http://{host}@{}/{name}",
            stranger.origin.trim_start_matches("http://")
        ),
        format!("http://user@{host}/{name}"),
        format!("{}/other.pem", sns.origin),
        format!("{}/x/{name}", sns.origin),
        format!("{}/x/../{name}", sns.origin),
        format!("{}/{name}?x", sns.origin),
        format!("{}/{name}#x", sns.origin),
        format!("{}/SimpleNotificationService-.pem", sns.origin),
        format!("{}/SimpleNotificationService-a%2fb.pem", sns.origin),
        format!("{}/SimpleNotificationService-a/b.pem", sns.origin),
        format!(
            "{}/SimpleNotificationService-{}.pem",
            sns.origin,
            "a".repeat(65)
        ),
        format!("https://{host}/{name}"),
        format!("HTTP://{host}/{name}"),
        format!("https://sns.eu-central-1.amazonaws.com/{name}"),
        "https://sns.eu-central-1.amazonaws.com.evil.example/SimpleNotificationService-a.pem"
            .to_owned(),
        "file:///etc/passwd".to_owned(),
        String::new(),
    ];
    for url in urls {
        let message = sign(changed(&good, "SigningCertURL", &url));
        let answer = notify_as_sns(&broker, &message).await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "token-invalid"),
            "{url}"
        );
    }
    assert!(sns.asked().is_empty() && stranger.asked().is_empty());

    let question = sns.subscription();
    let url = question["SubscribeURL"].as_str().expect("text").to_owned();
    let elsewhere = [
        url.replace(&sns.origin, &stranger.origin),
        url.replace("/?", "/x?"),
        url.replace("ConfirmSubscription", "DeleteTopic"),
        url.replace(TOPIC, &format!("{TOPIC}2")),
        format!("{url}&TopicArn={TOPIC}2"),
        format!("{url}&Action=DeleteTopic"),
        url.replace("2336412f37", "other"),
        url.replace("http://", "http://user@"),
    ];
    for url in elsewhere {
        let message = sign(changed(&question, "SubscribeURL", &url));
        let answer = notify_as_sns(&broker, &message).await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "token-invalid"),
            "{url}"
        );
    }
    assert!(stranger.asked().is_empty());
    assert_eq!(sns.asked().len(), 1, "the certificate: {:?}", sns.asked());
}

#[tokio::test]
async fn aws_topic_is_accepted_only_with_the_host_of_its_region() {
    let nowhere = Arc::new(|_: String| -> LookupAnswer {
        Box::pin(async { Err(std::io::Error::other("no name has an address here")) })
    });
    let topics = vec![SnsTopic {
        arn: TOPIC.to_owned(),
        origin: "https://sns.eu-central-1.amazonaws.com".to_owned(),
    }];
    let outbound = Outbound::with_lookup(nowhere).expect("a client");
    let senders = EventSenders::new(&events(topics, false), outbound);
    let sns = Sns::start(CERTIFICATE).await;
    let good = sns.notification("hello");
    let of = |host: &str| {
        changed(
            &good,
            "SigningCertURL",
            &format!("https://{host}/SimpleNotificationService-a1.pem"),
        )
    };
    // Its own region's is fetched, which fails here.
    let own = judge(&senders, &of("sns.eu-central-1.amazonaws.com")).await;
    assert_eq!(own, Err(AuthError::KeysUnavailable));
    for host in [
        "sns.us-east-1.amazonaws.com",
        "sns.eu-central-1.amazonaws.com.cn",
        "sns.eu-central-1.amazonaws.com:8443",
        "snsxeu-central-1.amazonaws.com",
        "s3.eu-central-1.amazonaws.com",
        "sns.eu-central-1.amazonaws.com.",
        "evil.example",
    ] {
        let judged = judge(&senders, &of(host)).await;
        assert!(
            matches!(judged, Err(AuthError::Invalid { .. })),
            "{host}: {judged:?}"
        );
    }
}

#[tokio::test]
async fn certificate_is_valid_within_its_dates_and_fetches_are_throttled() {
    let ended = Sns::start(ENDED).await;
    let senders_then = senders(&ended, false);
    let message = ended.notification("hello").to_string();
    let message = SnsMessage::parse(message.as_bytes()).expect("a message");
    let then: DateTime<Utc> = "2020-06-01T00:00:00Z".parse().expect("a time");
    assert_eq!(senders_then.verify(&message, 1, then).await, Ok(()));
    let now = senders_then.verify(&message, 1, Utc::now()).await;
    assert!(matches!(now, Err(AuthError::Invalid { .. })), "{now:?}");

    let broken = Sns::start("no certificate").await;
    let senders = senders(&broken, false);
    let began = std::time::Instant::now();
    for number in 0..40 {
        let url = format!("{}/SimpleNotificationService-{number}.pem", broken.origin);
        let judged = judge(
            &senders,
            &changed(&broken.notification("hello"), "SigningCertURL", &url),
        )
        .await;
        assert_eq!(judged, Err(AuthError::KeysUnavailable));
    }
    let most = began.elapsed().as_secs() as usize + 2;
    let fetched = broken.asked().len();
    assert!((1..=most).contains(&fetched), "{fetched} of at most {most}");
}
