//! The tables, once for both databases.
//!
//! Times are `timestamptz` on Postgres and sortable UTC text on SQLite. Diesel's MultiConnection knows only `Timestamp`, which
//! means the same here: diesel sets every Postgres session's time zone to UTC, so the conversion changes nothing.

diesel::table! {
    uploads (id) {
        id -> Text,
        status -> Text,
        version -> BigInt,
        field -> Text,
        owner -> Text,
        bucket -> Text,
        object_key -> Nullable<Text>,
        name -> Nullable<Text>,
        filename -> Text,
        content_type -> Text,
        size -> BigInt,
        checksum_algorithm -> Nullable<Text>,
        checksum_value -> Nullable<Text>,
        created_at -> Timestamp,
        expires_at -> Timestamp,
        url_lifetime_secs -> Integer,
        confirmed_at -> Nullable<Timestamp>,
        confirmed_by -> Nullable<Text>,
        etag -> Nullable<Text>,
        differences -> Nullable<Text>,
        object_removed_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    seal_attempts (object_key) {
        object_key -> Text,
        name -> Text,
        upload_id -> Text,
        state -> Text,
        started_at -> Timestamp,
        object_removed_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    events (id) {
        id -> Text,
        upload_id -> Text,
        seq -> BigInt,
        #[sql_name = "type"]
        event_type -> Text,
        occurred_at -> Timestamp,
    }
}

diesel::allow_tables_to_appear_in_same_query!(uploads, seal_attempts, events);
