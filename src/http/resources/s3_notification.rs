//! Parses bucket notifications: S3's own shape (also MinIO's and Ceph's) and EventBridge's. SNS wraps the first.
//!
//! Unknown members are ignored, because the senders' formats grow. An entry that cannot be parsed is counted and not an error,
//! because the sender would deliver it again.

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The format of a body, as the label `shape` of the metric.
pub type Shape = &'static str;

/// One entry of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An object was created.
    Created {
        /// Its bucket.
        bucket: String,
        /// Its key, decoded.
        key: String,
    },
    /// Another event, such as a removal.
    Other,
    /// The test event that S3 sends when notifications are configured.
    Test,
    /// It cannot be parsed.
    Unreadable,
}

/// The entries of one body. A body that cannot be parsed counts as one unreadable entry.
pub fn read(body: &[u8]) -> (Shape, Vec<Entry>) {
    let Ok(document) = serde_json::from_slice::<Value>(body) else {
        return ("unknown", vec![Entry::Unreadable]);
    };
    if document["Event"] == "s3:TestEvent" {
        return ("s3", vec![Entry::Test]);
    }
    if document["detail-type"].is_string() {
        return ("eventbridge", vec![of_eventbridge(&document)]);
    }
    match document["Records"].as_array() {
        Some(records) => (
            shape_of(records),
            records.iter().map(of_notification).collect(),
        ),
        None => ("unknown", vec![Entry::Unreadable]),
    }
}

fn shape_of(records: &[Value]) -> Shape {
    let source = records
        .first()
        .and_then(|first| first["eventSource"].as_str());
    match source {
        Some("minio:s3") => "minio",
        Some("ceph:s3") => "ceph",
        Some("aws:s3") => "s3",
        _ => "unknown",
    }
}

/// S3's own format, which MinIO and Ceph use too. Only S3 omits `s3:` from the event's name.
fn of_notification(record: &Value) -> Entry {
    let Some(name) = record["eventName"].as_str() else {
        return Entry::Unreadable;
    };
    if name == "s3:TestEvent" {
        return Entry::Test;
    }
    if !name.trim_start_matches("s3:").starts_with("ObjectCreated:") {
        return Entry::Other;
    }
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
    let key = text("/s3/object/key").and_then(decoded);
    match (text("/s3/bucket/name"), key) {
        (Some(bucket), Some(key)) => created(bucket, key),
        _ => Entry::Unreadable,
    }
}

/// EventBridge's envelope. Its keys are not encoded.
fn of_eventbridge(event: &Value) -> Entry {
    if event["source"] != "aws.s3" || event["detail-type"] != "Object Created" {
        return Entry::Other;
    }
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    match (text("/detail/bucket/name"), text("/detail/object/key")) {
        (Some(bucket), Some(key)) => created(bucket, key.to_owned()),
        _ => Entry::Unreadable,
    }
}

fn created(bucket: &str, key: String) -> Entry {
    Entry::Created {
        bucket: bucket.to_owned(),
        key,
    }
}

/// Decodes a form-encoded key: `+` for a space, `%XX` for other bytes.
fn decoded(key: &str) -> Option<String> {
    let spaced = key.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_value(body: Value) -> (Shape, Vec<Entry>) {
        read(body.to_string().as_bytes())
    }

    fn record(source: &str, name: &str, key: &str) -> Value {
        json!({"eventSource": source, "eventName": name,
            "s3": {"bucket": {"name": "b"}, "object": {"key": key}}})
    }

    fn key_of(body: Value) -> (Shape, String) {
        let (shape, records) = read_value(body);
        match records.as_slice() {
            [Entry::Created { bucket, key }] if bucket == "b" => (shape, key.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_are_form_decoded_except_in_eventbridge() {
        for (source, name, shape) in [
            ("aws:s3", "ObjectCreated:Put", "s3"),
            ("minio:s3", "s3:ObjectCreated:Put", "minio"),
            (
                "ceph:s3",
                "s3:ObjectCreated:CompleteMultipartUpload",
                "ceph",
            ),
            ("other", "ObjectCreated:Post", "unknown"),
        ] {
            let body = json!({"Records": [record(source, name, "staging%2Fa+b%2B%C3%A9")]});
            assert_eq!(key_of(body), (shape, "staging/a b+é".to_owned()));
        }
        let event = json!({"detail-type": "Object Created", "source": "aws.s3",
            "detail": {"bucket": {"name": "b"}, "object": {"key": "staging/a+b%2B"}}});
        assert_eq!(key_of(event), ("eventbridge", "staging/a+b%2B".to_owned()));
    }

    #[test]
    fn other_events_and_unreadable_entries_are_distinguished() {
        let one = |body: Value| match read_value(body).1.as_slice() {
            [one] => one.clone(),
            other => panic!("{other:?}"),
        };
        let of = |record: Value| one(json!({"Records": [record]}));
        assert_eq!(
            one(json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"})),
            Entry::Test
        );
        assert_eq!(of(record("ceph:s3", "s3:TestEvent", "x")), Entry::Test);
        for name in [
            "ObjectRemoved:Delete",
            "s3:ObjectRemoved:Delete",
            "ObjectCreatedNot:Put",
            "",
        ] {
            assert_eq!(of(record("aws:s3", name, "k")), Entry::Other, "{name}");
        }
        let deleted = json!({"detail-type": "Object Deleted", "source": "aws.s3", "detail": {}});
        assert_eq!(one(deleted), Entry::Other);
        for odd in [
            json!(1),
            json!({}),
            json!({"eventName": 5}),
            json!({"eventName": "ObjectCreated:Put"}),
            record("aws:s3", "ObjectCreated:Put", "%ff"),
        ] {
            assert_eq!(of(odd.clone()), Entry::Unreadable, "{odd}");
        }
        for text in ["", "{", "null", "[]", "{}", "\"x\"", "{\"Records\": 5}"] {
            assert_eq!(
                read(text.as_bytes()),
                ("unknown", vec![Entry::Unreadable]),
                "{text}"
            );
        }
        assert_eq!(read_value(json!({"Records": []})).1, []);
    }
}
