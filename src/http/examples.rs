//! Examples for the OpenAPI document and the pages. All of them follow one upload.

use serde_json::{Value, json};

/// The upload's id.
pub const ID: &str = "upl_01knavb5w8e59a3fjc8w6qgp7z";
const SHA256: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
const URL: &str = "https://shop-media.s3.eu-central-1.amazonaws.com/staging/upl_01knavb5w8e59a3fjc8w6qgp7z?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=…";
const KEY: &str = "media/products/7zk3q8v5t1w0m4n6r2y9c8b5x3d1f7gh.jpg";

/// The bucket notification after the client's PUT.
pub fn s3_event() -> Value {
    json!({"Records": [{
        "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "shop-media"}, "object": {"key": format!("staging/{ID}"), "size": 183442}},
    }]})
}

/// The body of the create request.
pub fn create_body() -> Value {
    json!({
        "field": "Product.image", "filename": "cat.jpg", "content_type": "image/jpeg", "size": 183442,
        "checksum": {"algorithm": "sha256", "value": SHA256},
    })
}

fn upload(changes: Value) -> Value {
    let mut upload = json!({
        "id": ID, "status": "pending", "field": "Product.image", "owner": "user:1", "object_id": null,
        "bucket": "shop-media", "key": null, "name": null,
        "filename": "cat.jpg", "content_type": "image/jpeg", "size": 183442,
        "checksum": {"algorithm": "sha256", "value": SHA256},
        "created_at": "2026-04-03T20:15:00.000Z", "expires_at": "2026-04-04T20:15:00.000Z",
        "confirmed_at": null, "confirmed_by": null, "attached_at": null, "detached_at": null, "etag": null, "url": null,
    });
    if let (Some(upload), Value::Object(changes)) = (upload.as_object_mut(), changes) {
        upload.extend(changes);
    }
    upload
}

/// The response to create: pending, with a presigned request.
pub fn pending() -> Value {
    upload(json!({
        "presigned": {
            "method": "PUT", "url": URL,
            "headers": {"content-type": "image/jpeg", "x-amz-checksum-sha256": SHA256},
            "expires_at": "2026-04-03T20:30:00.000Z",
        },
        "confirm_url": format!("https://broker.example/v1/uploads/{ID}/confirm"),
    }))
}

/// The upload after confirm, with changes.
fn confirmed_with(changes: Value) -> Value {
    let mut members = json!({
        "status": "confirmed", "key": KEY, "name": KEY.trim_start_matches("media/"),
        "confirmed_at": "2026-04-03T20:15:07.412Z", "confirmed_by": "client",
        "etag": "9b2cf535f27731c974343645a3985328",
        "url": format!("https://shop-media.s3.eu-central-1.amazonaws.com/{KEY}"),
    });
    if let (Some(members), Value::Object(changes)) = (members.as_object_mut(), changes) {
        members.extend(changes);
    }
    upload(members)
}

/// The upload after confirm.
pub fn confirmed() -> Value {
    confirmed_with(json!({}))
}

/// The body of the attach request.
pub fn attach_body() -> Value {
    json!({"object_id": "42"})
}

/// The upload, attached to `Product/42`.
pub fn attached() -> Value {
    confirmed_with(json!({
        "status": "attached", "object_id": "42", "attached_at": "2026-04-03T20:15:09.020Z",
    }))
}

/// The response to confirm, with a receipt.
pub fn with_receipt() -> Value {
    let mut upload = confirmed();
    upload["receipt"] =
        json!("eyJhbGciOiJFZERTQSIsImtpZCI6IjIwMjYtMDEiLCJ0eXAiOiJyZWNlaXB0K2p3dCJ9.eyJpc3MiOiJ…");
    upload
}

/// The keys that verify receipts; the example of RFC 8037.
pub fn jwks() -> Value {
    json!({"keys": [{
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "kid": "2026-01", "alg": "EdDSA", "use": "sig",
    }]})
}

/// The upload, detached.
pub fn detached() -> Value {
    confirmed_with(json!({
        "status": "detached", "object_id": "42", "attached_at": "2026-04-03T20:15:09.020Z",
        "detached_at": "2026-05-01T08:00:00.000Z",
    }))
}

/// The upload, expired without an object.
pub fn expired() -> Value {
    upload(json!({"status": "expired"}))
}

/// The attachments of `Product/42`.
pub fn attachments() -> Value {
    json!({"data": [attached()]})
}

/// A page with the upload.
pub fn page() -> Value {
    json!({"data": [confirmed()], "next_cursor": null})
}

/// The download URL of a private upload.
pub fn download() -> Value {
    json!({"url": URL.replace("staging/upl_01knavb5w8e59a3fjc8w6qgp7z", KEY), "expires_at": "2026-04-03T20:30:00.000Z"})
}

/// The body of the grant request.
pub fn mint_body() -> Value {
    json!({
        "field": "Order.txid_proof", "owner": "user:1", "object_id": "123", "max_uploads": 1, "max_size": 5242880,
        "expires_in": 900,
    })
}

/// A grant, with its token shortened.
pub fn grant() -> Value {
    json!({
        "grant": "eyJ0eXAiOiJncmFudCtqd3QiLCJhbGciOiJFZERTQSJ9.….…", "expires_at": "2026-04-03T20:30:00.000Z",
        "uppy_endpoint": "https://broker.example/g/eyJ0eXAiOiJncmFudCtqd3QiLCJhbGciOiJFZERTQSJ9.….…",
    })
}

/// Statistics.
pub fn stats() -> Value {
    json!({
        "data": [
            {"field": "Product.image", "status": "confirmed", "count": 1204, "bytes": 220863168},
            {"field": "Product.image", "status": "pending", "count": 3, "bytes": 550326},
        ],
        "oldest_pending": [{"field": "Product.image", "created_at": "2026-04-03T20:15:00.000Z"}],
    })
}

/// The overview of `/ops`.
pub fn overview() -> Value {
    let line = |number: u64| [0, number, 2 * number];
    json!({
        "at": "2026-04-03T21:00:00.000Z", "window_secs": 86400, "since": "2026-04-02T21:00:00.000Z", "events_since": "2026-04-02T21:00:00.000Z",
        "pending": {
            "count": 3, "bytes": 550326, "overdue": 1, "overdue_more": false, "postponed": 0, "oldest_created_at": "2026-04-03T20:15:00.000Z",
            "ages": [
                {"up_to_secs": 300, "count": 2, "more": false}, {"up_to_secs": 900, "count": 0, "more": false},
                {"up_to_secs": 3600, "count": 1, "more": false}, {"up_to_secs": 21600, "count": 0, "more": false},
                {"up_to_secs": 86400, "count": 0, "more": false}, {"up_to_secs": null, "count": 0, "more": false},
            ],
        },
        "fields": [{
            "field": "Product.image", "created": 120, "confirmed": 112, "attached": 108, "rejected": 2, "expired": 3,
            "canceled": 0, "pending": 3,
        }],
        "series": {
            "step_secs": 1440, "start": "2026-04-02T21:00:00.000Z", "created": line(40), "confirmed": line(37),
            "rejected": line(1), "expired": line(1),
        },
        "rejections": {"rejected": 2, "looked_at": 2, "reasons": [{"reason": "size", "count": 2}]},
        "broker": {
            "started_at": "2026-04-01T08:00:00.000Z",
            "confirm": {"count": 112, "p50_secs": 2.1, "p99_secs": 41.8},
            "store": [{"operation": "copy-object", "code": "ok", "count": 114}],
        },
        "sweeper_lag_secs": 4.2,
        "sweeper": [{"kind": "pending", "last_ended_at": "2026-04-03T20:59:58.000Z", "done": 3, "postponed": 0, "failed": 0}],
        "webhooks": [{"endpoint": "shop", "pending": 1, "dead": 0, "oldest_pending_at": "2026-04-03T20:59:59.000Z", "disabled": false}],
    })
}

/// The upload's timeline.
pub fn timeline() -> Value {
    let entry = |at: &str, kind: &str, detail: &str| json!({"at": at, "kind": kind, "detail": detail, "times": 1, "last_at": at});
    json!({"data": [
        entry("2026-04-03T20:15:00.000Z", "created", "for Product.image: 183442 bytes of image/jpeg"),
        entry("2026-04-03T20:15:00.000Z", "presigned", "a PUT, valid for at most 900 s"),
        entry("2026-04-03T20:15:07.380Z", "seal", "object copied to its final key and checked"),
        entry("2026-04-03T20:15:07.412Z", "confirmed", "by client"),
        entry("2026-04-03T20:15:07.903Z", "webhook", "event 1 delivered to shop"),
    ]})
}

/// The result of a manual sweep.
pub fn sweep() -> Value {
    json!({"data": [
        {"kind": "pending", "counts": {"found": 1, "expired": 1}, "more": false, "error": null},
        {"kind": "staging", "counts": {}, "more": false, "error": "store-unavailable"},
    ]})
}

/// The body of the replay request.
pub fn replay_body() -> Value {
    json!({"endpoint": "shop", "dead": true})
}
