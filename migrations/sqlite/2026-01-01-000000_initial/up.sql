-- Values are compared one by one: for an IN of constants SQLite builds a table at every insert, a quarter of its cost.
-- Times are UTC text, 2026-01-01 12:00:00.123456: they sort as they read. STRICT, so that a column holds its own type only.
CREATE TABLE uploads (
    id text PRIMARY KEY,
    status text NOT NULL CHECK (
        status = 'pending' OR status = 'confirmed' OR status = 'attached' OR status = 'detached'
        OR status = 'deleted' OR status = 'rejected' OR status = 'expired' OR status = 'canceled'),
    version integer NOT NULL,
    field text NOT NULL,
    owner text NOT NULL,
    bucket text NOT NULL,
    object_key text,
    name text,
    filename text NOT NULL,
    content_type text NOT NULL,
    size integer NOT NULL CHECK (size >= 0),
    checksum_algorithm text,
    checksum_value text,
    created_at text NOT NULL,
    expires_at text NOT NULL,
    url_lifetime_secs integer NOT NULL CHECK (url_lifetime_secs >= 0),
    confirmed_at text,
    confirmed_by text CHECK (
        confirmed_by = 'client' OR confirmed_by = 'service' OR confirmed_by = 'event' OR confirmed_by = 'sweeper'),
    etag text,
    differences text,
    object_removed_at text,
    -- The record that the upload is meant for, or attached to.
    object_id text,
    attach_at_confirm integer NOT NULL DEFAULT 0 CHECK (attach_at_confirm = 0 OR attach_at_confirm = 1),
    grant_id text,
    attached_at text,
    detached_at text,
    -- From when on the object of a detached upload may be removed.
    remove_after text,
    -- When the sweeper tries a pending upload again that it could not settle, and why it could not.
    sweep_after text,
    last_problem text,
    CHECK ((checksum_algorithm IS NULL) = (checksum_value IS NULL)),
    CHECK ((object_key IS NULL) = (name IS NULL) AND (object_key IS NULL) = (etag IS NULL)
        AND (object_key IS NULL) = (confirmed_at IS NULL) AND (object_key IS NULL) = (confirmed_by IS NULL)),
    -- A verified upload has a key, and no other upload has one.
    CHECK ((object_key IS NULL) = (
        status = 'pending' OR status = 'rejected' OR status = 'expired' OR status = 'canceled'))
) STRICT;
-- Partial: a create writes no entry, and a confirm takes no lock that a new seal attempt waits for.
CREATE UNIQUE INDEX uploads_object ON uploads (bucket, object_key) WHERE object_key IS NOT NULL;
CREATE INDEX uploads_owner ON uploads (owner, id);
-- With the field, so that the oldest pending upload of each field is found without reading rows.
CREATE INDEX uploads_status ON uploads (status, id, field);
CREATE INDEX uploads_field ON uploads (field, id);
CREATE INDEX uploads_record ON uploads (object_id, field, id) WHERE object_id IS NOT NULL;
-- The work of the sweeper and the remover. Each of these indexes holds the uploads of one kind of work and no others.
-- The sweeper's is ordered by the time of the next try: an upload that it could not settle does not delay the others.
CREATE INDEX uploads_due ON uploads (COALESCE(sweep_after, expires_at), id) WHERE status = 'pending';
CREATE INDEX uploads_pending_deletion ON uploads (id)
    WHERE object_removed_at IS NULL AND (status = 'rejected' OR status = 'deleted');
CREATE INDEX uploads_unattached ON uploads (field, confirmed_at, id) WHERE status = 'confirmed';
CREATE INDEX uploads_removal ON uploads (remove_after, id) WHERE remove_after IS NOT NULL AND object_removed_at IS NULL;

CREATE TABLE seal_attempts (
    object_key text PRIMARY KEY,
    name text NOT NULL,
    upload_id text NOT NULL REFERENCES uploads (id),
    state text NOT NULL CHECK (state = 'open' OR state = 'recorded' OR state = 'abandoned'),
    started_at text NOT NULL,
    object_removed_at text
) STRICT;
CREATE INDEX seal_attempts_upload ON seal_attempts (upload_id);
CREATE INDEX seal_attempts_state ON seal_attempts (state, started_at);
-- IS TRUE, because SQLite prefers seal_attempts_state for a plain comparison, and would count and sort all abandoned attempts.
CREATE INDEX seal_attempts_pending_deletion ON seal_attempts (started_at, object_key)
    WHERE (state = 'abandoned') IS TRUE AND object_removed_at IS NULL;

-- Event ids begin with their time, so the primary key is the order of all events; (upload_id, seq) is the order of one upload's.
-- The body is the bytes that each attempt of a delivery sends.
CREATE TABLE events (
    id text PRIMARY KEY,
    upload_id text NOT NULL REFERENCES uploads (id),
    seq integer NOT NULL,
    type text NOT NULL,
    occurred_at text NOT NULL,
    body text
) STRICT;
CREATE UNIQUE INDEX events_upload ON events (upload_id, seq);

-- On a field of cardinality `one`, the upload that is attached to a record holds the record's slot. An attach locks the slot first.
CREATE TABLE attachment_slots (
    field text NOT NULL,
    object_id text NOT NULL,
    upload_id text NOT NULL REFERENCES uploads (id),
    PRIMARY KEY (field, object_id)
) STRICT;

-- `used` only grows, by an update that demands used < max_uploads: a canceled upload does not decrease it.
CREATE TABLE grants (
    id text PRIMARY KEY,
    field text NOT NULL,
    owner text NOT NULL,
    object_id text,
    max_uploads integer NOT NULL CHECK (max_uploads > 0),
    max_size integer NOT NULL CHECK (max_size > 0),
    used integer NOT NULL DEFAULT 0 CHECK (used >= 0 AND used <= max_uploads),
    issuer text NOT NULL,
    subject text NOT NULL,
    created_at text NOT NULL,
    expires_at text NOT NULL
) STRICT;
CREATE INDEX grants_expiry ON grants (expires_at);

-- A request that succeeded, and the id of its result. It holds no URL and no token.
CREATE TABLE idempotency_keys (
    issuer text NOT NULL,
    subject text NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    body_hash text NOT NULL,
    result_id text NOT NULL,
    created_at text NOT NULL,
    expires_at text NOT NULL,
    PRIMARY KEY (issuer, subject, route, key)
) STRICT;
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

-- The delivery of one event to one endpoint. `lease` is the claim of the broker that is delivering it.
CREATE TABLE deliveries (
    endpoint text NOT NULL,
    event_id text NOT NULL REFERENCES events (id),
    upload_id text NOT NULL,
    seq integer NOT NULL,
    state text NOT NULL CHECK (state = 'pending' OR state = 'delivered' OR state = 'dead'),
    attempts integer NOT NULL DEFAULT 0,
    next_at text NOT NULL,
    lease text,
    leased_until text,
    last_at text,
    last_status integer,
    last_error text,
    PRIMARY KEY (endpoint, event_id)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (endpoint, next_at) WHERE state = 'pending';
-- A failing event delays the later ones of its upload: this index finds the earlier ones.
CREATE UNIQUE INDEX deliveries_order ON deliveries (endpoint, upload_id, seq);
CREATE INDEX deliveries_state ON deliveries (state, endpoint, event_id);

-- Endpoints that answered 410: nothing is delivered to them.
CREATE TABLE disabled_endpoints (
    endpoint text PRIMARY KEY,
    disabled_at text NOT NULL,
    reason text NOT NULL
) STRICT;

-- One row for each kind of periodic work. The broker that moved `held_until` by compare-and-set holds the lease until then.
CREATE TABLE leases (
    name text PRIMARY KEY,
    holder text NOT NULL,
    held_until text NOT NULL
) STRICT;

-- The number and the declared bytes of an owner's pending uploads: reserved with the row, released when the upload leaves `pending`.
-- They change in the transaction that changes the row. No check keeps them above zero, so that a wrong counter does not keep
-- uploads from being settled; `bytepass fsck --counters` finds it.
CREATE TABLE owner_usage (
    owner text PRIMARY KEY,
    pending_count integer NOT NULL,
    pending_bytes integer NOT NULL
) STRICT, WITHOUT ROWID;

-- The number of uploads, and their declared bytes together. A count is the sum of its slots, each of which may be below zero:
-- brokers that write at the same time use different slots.
CREATE TABLE upload_counts (
    field text NOT NULL,
    status text NOT NULL,
    slot integer NOT NULL,
    count integer NOT NULL,
    bytes integer NOT NULL,
    PRIMARY KEY (field, status, slot)
) STRICT, WITHOUT ROWID;

-- The timeline of an upload: its status changes, and notes. Repeated notes are one entry with a count; the writer bounds the entries.
CREATE TABLE upload_log (
    upload_id text NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    entry integer NOT NULL,
    at text NOT NULL,
    last_at text NOT NULL,
    kind text NOT NULL,
    detail text NOT NULL,
    times integer NOT NULL,
    PRIMARY KEY (upload_id, entry)
) STRICT;

-- A public interface for other programs: columns are added here, and never changed or removed.
CREATE VIEW upload_v1 AS
SELECT id, status, field, owner, object_id, bucket, object_key AS key, name, filename, content_type, size,
    checksum_algorithm, checksum_value, etag, created_at, expires_at, confirmed_at, confirmed_by, attached_at, detached_at,
    object_removed_at
FROM uploads;

-- Statistics of a database with a million uploads, so that SQLite chooses the same indexes from the first row on. ANALYZE creates the
-- table and, run later, replaces the numbers. Source: "Manual Control Of Query Plans Using SQLITE_STAT Tables" in SQLite's documentation.
ANALYZE;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('uploads', 'sqlite_autoindex_uploads_1', '1000000 1'),
    ('uploads', 'uploads_object', '900000 900000 1'),
    ('uploads', 'uploads_owner', '1000000 200 1'),
    ('uploads', 'uploads_status', '1000000 50000 1 1'),
    ('uploads', 'uploads_field', '1000000 100000 1'),
    ('uploads', 'uploads_record', '900000 3 2 1'),
    ('uploads', 'uploads_due', '1000 1 1'),
    ('uploads', 'uploads_pending_deletion', '1000 1'),
    ('uploads', 'uploads_unattached', '1000 100 1 1'),
    ('uploads', 'uploads_removal', '1000 1 1'),
    ('seal_attempts', 'sqlite_autoindex_seal_attempts_1', '1000000 1'),
    ('seal_attempts', 'seal_attempts_upload', '1000000 1'),
    ('seal_attempts', 'seal_attempts_state', '1000000 300000 1'),
    ('seal_attempts', 'seal_attempts_pending_deletion', '100 1 1'),
    ('events', 'sqlite_autoindex_events_1', '1000000 1'),
    ('events', 'events_upload', '1000000 3 1'),
    ('deliveries', 'sqlite_autoindex_deliveries_1', '1000000 500000 1'),
    ('deliveries', 'deliveries_due', '1000 500 1'),
    ('deliveries', 'deliveries_order', '1000000 500000 3 1'),
    ('deliveries', 'deliveries_state', '1000000 300000 100000 1');
ANALYZE sqlite_schema;
