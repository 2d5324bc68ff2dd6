//! What stores write into their events, in each of the shapes there are.
//!
//! Read leniently: these are other people's documents, and grow. What is not understood is counted and no error, because its
//! sender would only send it again.

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Who wrote a body, as a metric's label.
pub type Shape = &'static str;

/// What one record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// There is a new object.
    Created {
        /// In which bucket.
        bucket: String,
        /// Under which key, decoded.
        key: String,
    },
    /// Something else happened, such as a removal.
    Other,
    /// The store tries whether anybody listens.
    Test,
    /// It can't be understood.
    Unreadable,
}

/// The records of one body; one that is unreadable as a whole counts as one.
pub fn read(body: &[u8]) -> (Shape, Vec<Record>) {
    let Ok(document) = serde_json::from_slice::<Value>(body) else {
        return ("unknown", vec![Record::Unreadable]);
    };
    if document["Event"] == "s3:TestEvent" {
        return ("s3", vec![Record::Test]);
    }
    if document["detail-type"].is_string() {
        return ("eventbridge", vec![of_eventbridge(&document)]);
    }
    match document["Records"].as_array() {
        Some(records) => (
            shape_of(records),
            records.iter().map(of_notification).collect(),
        ),
        None => ("unknown", vec![Record::Unreadable]),
    }
}

fn shape_of(records: &[Value]) -> Shape {
    match records
        .first()
        .and_then(|first| first["eventSource"].as_str())
    {
        Some("minio:s3") => "minio",
        Some("ceph:s3") => "ceph",
        Some("aws:s3") => "s3",
        _ => "unknown",
    }
}

/// S3's own record, which MinIO and Ceph write too; only the first of them leaves `s3:` away from the name.
fn of_notification(record: &Value) -> Record {
    let Some(name) = record["eventName"].as_str() else {
        return Record::Unreadable;
    };
    if name == "s3:TestEvent" {
        return Record::Test;
    }
    if !name.trim_start_matches("s3:").starts_with("ObjectCreated:") {
        return Record::Other;
    }
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
    let key = text("/s3/object/key").and_then(decoded);
    match (text("/s3/bucket/name"), key) {
        (Some(bucket), Some(key)) => created(bucket, key),
        _ => Record::Unreadable,
    }
}

/// EventBridge's envelope, whose keys are written as they are.
fn of_eventbridge(event: &Value) -> Record {
    if event["source"] != "aws.s3" || event["detail-type"] != "Object Created" {
        return Record::Other;
    }
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    match (text("/detail/bucket/name"), text("/detail/object/key")) {
        (Some(bucket), Some(key)) => created(bucket, key.to_owned()),
        _ => Record::Unreadable,
    }
}

fn created(bucket: &str, key: String) -> Record {
    Record::Created {
        bucket: bucket.to_owned(),
        key,
    }
}

/// A key as forms encode it: `+` for a space, `%XX` for the rest.
fn decoded(key: &str) -> Option<String> {
    let spaced = key.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_value(body: Value) -> (Shape, Vec<Record>) {
        read(body.to_string().as_bytes())
    }

    fn record(source: &str, name: &str, key: &str) -> Value {
        json!({"eventSource": source, "eventName": name,
            "s3": {"bucket": {"name": "b"}, "object": {"key": key}}})
    }

    fn key_of(body: Value) -> (Shape, String) {
        let (shape, records) = read_value(body);
        match records.as_slice() {
            [Record::Created { bucket, key }] if bucket == "b" => (shape, key.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_key_is_form_decoded_where_the_shape_encodes_it_and_only_there() {
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
    fn what_is_no_new_object_and_what_makes_no_sense_is_told_apart() {
        let one = |body: Value| match read_value(body).1.as_slice() {
            [one] => one.clone(),
            other => panic!("{other:?}"),
        };
        let of = |record: Value| one(json!({"Records": [record]}));
        assert_eq!(
            one(json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"})),
            Record::Test
        );
        assert_eq!(of(record("ceph:s3", "s3:TestEvent", "x")), Record::Test);
        for name in [
            "ObjectRemoved:Delete",
            "s3:ObjectRemoved:Delete",
            "ObjectCreatedNot:Put",
            "",
        ] {
            assert_eq!(of(record("aws:s3", name, "k")), Record::Other, "{name}");
        }
        let deleted = json!({"detail-type": "Object Deleted", "source": "aws.s3", "detail": {}});
        assert_eq!(one(deleted), Record::Other);
        for odd in [
            json!(1),
            json!({}),
            json!({"eventName": 5}),
            json!({"eventName": "ObjectCreated:Put"}),
            record("aws:s3", "ObjectCreated:Put", "%ff"),
        ] {
            assert_eq!(of(odd.clone()), Record::Unreadable, "{odd}");
        }
        for text in ["", "{", "null", "[]", "{}", "\"x\"", "{\"Records\": 5}"] {
            assert_eq!(
                read(text.as_bytes()),
                ("unknown", vec![Record::Unreadable]),
                "{text}"
            );
        }
        assert_eq!(read_value(json!({"Records": []})).1, []);
    }
}
