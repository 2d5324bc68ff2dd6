//! The index's tables: the SQL that creates them, and their declarations for Diesel.

/// Creates the missing tables and indexes. Keys compare by bytes (SQLite's default collation), which is the order in which S3 lists.
pub(super) const CREATE: &str = "
CREATE TABLE IF NOT EXISTS buckets (
    name TEXT NOT NULL PRIMARY KEY,
    created_ms BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL REFERENCES buckets (name),
    key TEXT NOT NULL,
    blob TEXT NOT NULL,
    size BIGINT NOT NULL,
    etag TEXT NOT NULL,
    modified_ms BIGINT NOT NULL,
    headers TEXT NOT NULL,
    checksum TEXT,
    PRIMARY KEY (bucket, key)
);
CREATE INDEX IF NOT EXISTS objects_by_blob ON objects (blob);
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT NOT NULL PRIMARY KEY,
    bucket TEXT NOT NULL REFERENCES buckets (name),
    key TEXT NOT NULL,
    started_ms BIGINT NOT NULL,
    headers TEXT NOT NULL,
    algorithm TEXT,
    composite BOOLEAN NOT NULL
);
CREATE INDEX IF NOT EXISTS uploads_by_key ON uploads (bucket, key, id);
CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL REFERENCES uploads (id),
    number INTEGER NOT NULL,
    blob TEXT NOT NULL,
    size BIGINT NOT NULL,
    etag TEXT NOT NULL,
    modified_ms BIGINT NOT NULL,
    checksum TEXT,
    PRIMARY KEY (upload, number)
);
";

diesel::table! {
    buckets (name) {
        name -> Text,
        created_ms -> BigInt,
    }
}

diesel::table! {
    objects (bucket, key) {
        bucket -> Text,
        key -> Text,
        blob -> Text,
        size -> BigInt,
        etag -> Text,
        modified_ms -> BigInt,
        headers -> Text,
        checksum -> Nullable<Text>,
    }
}

diesel::table! {
    uploads (id) {
        id -> Text,
        bucket -> Text,
        key -> Text,
        started_ms -> BigInt,
        headers -> Text,
        algorithm -> Nullable<Text>,
        composite -> Bool,
    }
}

diesel::table! {
    parts (upload, number) {
        upload -> Text,
        number -> Integer,
        blob -> Text,
        size -> BigInt,
        etag -> Text,
        modified_ms -> BigInt,
        checksum -> Nullable<Text>,
    }
}
