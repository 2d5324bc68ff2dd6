//! The tables, once for both databases.
//!
//! Times are `timestamptz` on Postgres and sortable UTC text on SQLite. Diesel's MultiConnection has only `Timestamp`, which means the
//! same here: diesel sets the time zone of each Postgres session to UTC.

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
        object_id -> Nullable<Text>,
        attach_at_confirm -> Bool,
        grant_id -> Nullable<Text>,
        attached_at -> Nullable<Timestamp>,
        detached_at -> Nullable<Timestamp>,
        remove_after -> Nullable<Timestamp>,
        sweep_after -> Nullable<Timestamp>,
        last_problem -> Nullable<Text>,
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
        body -> Nullable<Text>,
    }
}

diesel::table! {
    attachment_slots (field, object_id) {
        field -> Text,
        object_id -> Text,
        upload_id -> Text,
    }
}

diesel::table! {
    grants (id) {
        id -> Text,
        field -> Text,
        owner -> Text,
        object_id -> Nullable<Text>,
        max_uploads -> Integer,
        max_size -> BigInt,
        used -> Integer,
        issuer -> Text,
        subject -> Text,
        created_at -> Timestamp,
        expires_at -> Timestamp,
    }
}

diesel::table! {
    idempotency_keys (issuer, subject, route, key) {
        issuer -> Text,
        subject -> Text,
        route -> Text,
        key -> Text,
        body_hash -> Text,
        result_id -> Text,
        created_at -> Timestamp,
        expires_at -> Timestamp,
    }
}

diesel::table! {
    deliveries (endpoint, event_id) {
        endpoint -> Text,
        event_id -> Text,
        upload_id -> Text,
        seq -> BigInt,
        state -> Text,
        attempts -> Integer,
        next_at -> Timestamp,
        lease -> Nullable<Text>,
        leased_until -> Nullable<Timestamp>,
        last_at -> Nullable<Timestamp>,
        last_status -> Nullable<Integer>,
        last_error -> Nullable<Text>,
    }
}

diesel::table! {
    disabled_endpoints (endpoint) {
        endpoint -> Text,
        disabled_at -> Timestamp,
        reason -> Text,
    }
}

diesel::table! {
    leases (name) {
        name -> Text,
        holder -> Text,
        held_until -> Timestamp,
    }
}

diesel::table! {
    owner_usage (owner) {
        owner -> Text,
        pending_count -> BigInt,
        pending_bytes -> BigInt,
    }
}

diesel::table! {
    upload_counts (field, status, slot) {
        field -> Text,
        status -> Text,
        slot -> Integer,
        count -> BigInt,
        bytes -> BigInt,
    }
}

diesel::table! {
    upload_log (upload_id, entry) {
        upload_id -> Text,
        entry -> BigInt,
        at -> Timestamp,
        last_at -> Timestamp,
        kind -> Text,
        detail -> Text,
        times -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    uploads,
    seal_attempts,
    events,
    attachment_slots,
    grants,
    idempotency_keys,
    deliveries,
    disabled_endpoints,
    leases,
    owner_usage,
    upload_counts,
    upload_log,
);
