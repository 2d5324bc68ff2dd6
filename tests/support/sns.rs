//! A substitute for SNS: signs messages as SNS does, serves its certificate, and logs the requests it gets.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The topic of the tests.
pub const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:uploads";
/// A certificate of the signing key that counts until 2126.
pub const CERTIFICATE: &str = include_str!("../fixtures/sns-certificate.pem");
/// One that counted until 2021.
pub const ENDED: &str = include_str!("../fixtures/sns-certificate-ended.pem");
const CERTIFICATE_PATH: &str = "/SimpleNotificationService-0a1b2c3d4e5f.pem";
const PRIVATE_KEY: &str = include_str!("../fixtures/rsa-2048-private.pem");

/// A running stand-in.
pub struct Sns {
    /// Its base URL, without a slash at the end.
    pub origin: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Sns {
    /// Starts one that answers every GET with this text.
    pub async fn start(text: &'static str) -> Sns {
        Sns::answering(move |_| Some(text)).await
    }

    /// Starts one that serves this certificate at its path, and nothing else.
    pub async fn with_one_certificate(text: &'static str) -> Sns {
        Sns::answering(move |path| (path == CERTIFICATE_PATH).then_some(text)).await
    }

    async fn answering(decide: impl Fn(&str) -> Option<&'static str> + Send + 'static) -> Sns {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut head = vec![0; 8192];
                let length = socket.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let (status, text) = match decide(&path) {
                    Some(text) => ("200 OK", text),
                    None => ("404 Not Found", ""),
                };
                seen.lock().expect("no panic while held").push(path);
                let length = text.len();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
                let _ = socket.write_all((head + text).as_bytes()).await;
            }
        });
        Sns { origin, asked }
    }

    /// The requested paths with queries, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic while held").clone()
    }

    /// The `events` settings of a broker that believes it.
    pub fn settings(&self) -> Value {
        json!({"events": {"sns_topics": [TOPIC], "sns_endpoint": self.origin}})
    }

    /// The URL of its certificate.
    pub fn certificate_url(&self) -> String {
        format!("{}{CERTIFICATE_PATH}", self.origin)
    }

    /// A notification with this message, signed.
    pub fn notification(&self, message: &str) -> Value {
        sign(json!({
            "Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": TOPIC,
            "Subject": "Amazon S3 Notification", "Message": message, "Timestamp": "2026-11-23T22:00:00.000Z",
            "SignatureVersion": "2", "SigningCertURL": self.certificate_url(),
            "UnsubscribeURL": format!("{}/?Action=Unsubscribe&SubscriptionArn={TOPIC}:1", self.origin),
        }))
    }

    /// The question whether a subscription is right, signed.
    pub fn subscription(&self) -> Value {
        let url = format!(
            "{}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37",
            self.origin
        );
        sign(json!({
            "Type": "SubscriptionConfirmation", "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
            "Token": "2336412f37", "TopicArn": TOPIC, "Message": "You have chosen to subscribe to the topic.",
            "SubscribeURL": url, "Timestamp": "2026-11-23T22:00:00.000Z", "SignatureVersion": "2",
            "SigningCertURL": self.certificate_url(),
        }))
    }
}

/// The same message with a signature as by SNS.
pub fn sign(mut message: Value) -> Value {
    let notification = message["Type"] == "Notification";
    let names = [
        "Message",
        "MessageId",
        "Subject",
        "SubscribeURL",
        "Timestamp",
        "Token",
        "TopicArn",
        "Type",
    ];
    let mut text = String::new();
    for name in names {
        let signed = match name {
            "Subject" => notification,
            "SubscribeURL" | "Token" => !notification,
            _ => true,
        };
        if let (true, Some(value)) = (signed, message[name].as_str()) {
            text.push_str(&format!("{name}\n{value}\n"));
        }
    }
    let body: String = PRIVATE_KEY
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let key = STANDARD.decode(body).expect("base64");
    let key = KeyPair::from_pkcs8(&key).expect("a key");
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        text.as_bytes(),
        &mut signature,
    )
    .expect("a signature");
    message["Signature"] = json!(STANDARD.encode(signature));
    message
}
