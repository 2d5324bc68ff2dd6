//! What a request can contain: no key, no bucket, no status, and no member that the OpenAPI document does not name.

use std::collections::BTreeSet;

use super::*;

/// Words that no member of a request may contain: only the broker decides the location and the status of an upload.
const OURS: [&str; 17] = [
    "key",
    "bucket",
    "status",
    "state",
    "name",
    "path",
    "prefix",
    "location",
    "staging",
    "etag",
    "url",
    "version",
    "acl",
    "metadata",
    "region",
    "confirmed",
    "verified",
];

/// The names of all members that a schema takes, nested ones included.
fn members(document: &Value, schema: &Value, found: &mut BTreeSet<String>) {
    if let Some(target) = schema["$ref"].as_str() {
        let target = document.pointer(target.trim_start_matches('#'));
        return members(document, target.expect("a schema"), found);
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        found.insert(name.clone());
        members(document, member, found);
    }
    for list in ["oneOf", "anyOf", "allOf"] {
        for one in schema[list].as_array().into_iter().flatten() {
            members(document, one, found);
        }
    }
    members_of_items(document, schema, found);
}

fn members_of_items(document: &Value, schema: &Value, found: &mut BTreeSet<String>) {
    if schema["items"].is_object() {
        members(document, &schema["items"], found);
    }
}

#[test]
fn requests_in_the_document_take_no_key_bucket_or_status() {
    let document = document();
    let mut bodies = 0;
    for operation in operations() {
        // Bucket notifications name keys, and are never trusted.
        if operation.is_for_the_bucket() {
            continue;
        }
        let mut found = BTreeSet::new();
        let contents = operation.spec["requestBody"]["content"].as_object();
        for (_, content) in contents.into_iter().flatten() {
            bodies += 1;
            members(&document, &content["schema"], &mut found);
            assert!(!found.is_empty(), "{} has a schema", operation.name());
        }
        for name in found {
            let ours = name.split('_').any(|word| OURS.contains(&word));
            assert!(!ours, "{} takes {name}", operation.name());
        }
        for parameter in operation.spec["parameters"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let name = parameter["name"].as_str().expect("a name");
            // A list may be filtered by what an upload is; nothing can be set by it.
            let filter = operation.name() == "GET /v1/uploads" && name == "status";
            let ours = name.split('_').any(|word| OURS.contains(&word));
            assert!(filter || !ours, "{} takes {name}", operation.name());
        }
    }
    assert_eq!(bodies, 4, "each body of the document was looked at");
}

/// Every column of every table of the database.
fn columns() -> BTreeSet<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
    let mut columns = BTreeSet::new();
    for entry in walkdir::WalkDir::new(folder).into_iter().flatten() {
        if entry.file_name() != "up.sql" {
            continue;
        }
        let sql = std::fs::read_to_string(entry.path()).expect("a migration");
        for line in sql.lines() {
            let mut words = line.split_whitespace();
            let (Some(name), Some(kind)) = (words.next(), words.next()) else {
                continue;
            };
            if ["text", "integer"].contains(&kind.trim_end_matches(',')) {
                columns.insert(name.to_owned());
            }
        }
    }
    columns
}

fn body() -> Value {
    json!({
        "field": "Product.image", "filename": "cat.jpg", "content_type": "image/jpeg", "size": 5,
        "checksum": {"algorithm": "crc32", "value": "AAAAAA=="},
    })
}

#[tokio::test]
async fn requests_with_database_columns_or_unknown_members_are_refused() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    user.post("/v1/uploads", &body()).await.expect(201);
    let columns = columns();
    assert!(columns.contains("status") && columns.contains("object_key") && columns.len() > 20);
    let random = (0..200).map(|_| crate::support::unique("m"));
    let declared = ["field", "filename", "content_type", "size", "checksum"];
    let also = [
        "verified",
        "Field",
        "field ",
        "owner_id",
        "sub",
        "__proto__",
        "",
    ];
    let names: Vec<String> = columns
        .into_iter()
        .chain(also.map(str::to_owned))
        .chain(random)
        .filter(|name| {
            !declared.contains(&name.as_str()) && !["owner", "object_id"].contains(&name.as_str())
        })
        .collect();
    for (index, name) in names.iter().enumerate() {
        let value = [json!("confirmed"), json!(1), json!(true), json!(null)][index % 4].clone();
        let mut whole = body();
        whole[name] = value.clone();
        let answer = user.post("/v1/uploads", &whole).await;
        let answer = answer.expect_problem(400, "invalid-request");
        assert_eq!(answer.json["errors"][0]["pointer"], format!("/{name}"));
        let mut nested = body();
        nested["checksum"][name] = value;
        let answer = user.post("/v1/uploads", &nested).await;
        let answer = answer.expect_problem(400, "invalid-request");
        let pointer = format!("/checksum/{name}");
        assert_eq!(answer.json["errors"][0]["pointer"], pointer);
    }
    // `owner` is a member, for backends.
    let mut whole = body();
    whole["owner"] = json!("user:1");
    user.post("/v1/uploads", &whole)
        .await
        .expect_problem(403, "scope-insufficient");
    let all = broker.ops().get("/v1/uploads").await.expect(200);
    assert_eq!(all.json["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn requests_without_members_refuse_any_member() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let id = statuses::in_status(&test_env, &user, Status::Pending).await;
    // A body is read before a scope is asked for.
    for operation in operations_on_one() {
        if operation.method == Method::GET || !operation.spec["requestBody"].is_null() {
            continue;
        }
        let path = operation.path.replace("{id}", &id);
        for name in columns() {
            let request = user.request(operation.method.clone(), &path);
            let answer = send(request.json(&json!({name.as_str(): "confirmed"}))).await;
            let answer = answer.expect_problem(400, "invalid-request");
            assert!(
                answer.json["detail"]
                    .as_str()
                    .is_some_and(|it| it.contains("{}"))
            );
        }
    }
    let read = user.read(&id).await.expect(200);
    assert_eq!(read.json["status"], "pending");
}

#[tokio::test]
async fn attach_request_takes_only_the_record_id() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let id = statuses::in_status(&test_env, &broker.user(), Status::Confirmed).await;
    let path = format!("{}/attach", statuses::path(&id));
    for name in columns().iter().filter(|name| *name != "object_id") {
        let body = json!({"object_id": "42", name.as_str(): "attached"});
        let answer = broker.service().post(&path, &body).await;
        let answer = answer.expect_problem(400, "invalid-request");
        assert_eq!(answer.json["errors"][0]["pointer"], format!("/{name}"));
    }
    let read = broker.user().read(&id).await.expect(200);
    assert_eq!(read.json["status"], "confirmed");
}
