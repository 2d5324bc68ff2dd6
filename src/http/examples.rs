//! One upload's story, as the OpenAPI document and the pages tell it.

use serde_json::{Value, json};

/// The id of the upload in the story.
pub const ID: &str = "upl_01knavb5w8e59a3fjc8w6qgp7z";
const SHA256: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
const URL: &str = "https://ultamine-media.s3.eu-central-1.amazonaws.com/staging/upl_01knavb5w8e59a3fjc8w6qgp7z?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=…";
const KEY: &str = "media/products/7zk3q8v5t1w0m4n6r2y9c8b5x3d1f7gh.jpg";

/// What S3 tells when the client's PUT is done.
pub fn s3_event() -> Value {
    json!({"Records": [{
        "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "ultamine-media"}, "object": {"key": format!("staging/{ID}"), "size": 183442}},
    }]})
}

/// What the client asks for.
pub fn create_body() -> Value {
    json!({
        "field": "Product.image", "filename": "cat.jpg", "content_type": "image/jpeg", "size": 183442,
        "checksum": {"algorithm": "sha256", "value": SHA256},
    })
}

fn upload(changes: Value) -> Value {
    let mut upload = json!({
        "id": ID, "status": "pending", "field": "Product.image", "owner": "user:1",
        "bucket": "ultamine-media", "key": null, "name": null,
        "filename": "cat.jpg", "content_type": "image/jpeg", "size": 183442,
        "checksum": {"algorithm": "sha256", "value": SHA256},
        "created_at": "2026-04-03T20:15:00.000Z", "expires_at": "2026-04-04T20:15:00.000Z",
        "confirmed_at": null, "confirmed_by": null, "etag": null, "url": null,
    });
    if let (Some(upload), Value::Object(changes)) = (upload.as_object_mut(), changes) {
        upload.extend(changes);
    }
    upload
}

/// The answer: pending, with a presigned request.
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

/// After the PUT and the confirm.
pub fn confirmed() -> Value {
    upload(json!({
        "status": "confirmed", "key": KEY, "name": KEY.trim_start_matches("media/"),
        "confirmed_at": "2026-04-03T20:15:07.412Z", "confirmed_by": "client",
        "etag": "9b2cf535f27731c974343645a3985328",
        "url": format!("https://ultamine-media.s3.eu-central-1.amazonaws.com/{KEY}"),
    }))
}

/// A page with that upload.
pub fn page() -> Value {
    json!({"data": [confirmed()], "next_cursor": null})
}

/// Where a private upload's bytes are.
pub fn download() -> Value {
    json!({"url": URL.replace("staging/upl_01knavb5w8e59a3fjc8w6qgp7z", KEY), "expires_at": "2026-04-03T20:30:00.000Z"})
}

/// What an operator sees.
pub fn stats() -> Value {
    json!({
        "data": [
            {"field": "Product.image", "status": "confirmed", "count": 1204, "bytes": 220863168},
            {"field": "Product.image", "status": "pending", "count": 3, "bytes": 550326},
        ],
        "oldest_pending": [{"field": "Product.image", "created_at": "2026-04-03T20:15:00.000Z"}],
    })
}
