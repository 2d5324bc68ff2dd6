-- Ids, names and statuses compare by byte ("C"), as they do on SQLite: both databases list in the same order, and the fields of
-- a model are one range of an index.
CREATE TABLE uploads (
    id text COLLATE "C" PRIMARY KEY,
    status text COLLATE "C" NOT NULL CHECK (status IN
        ('pending', 'confirmed', 'attached', 'detached', 'deleted', 'rejected', 'expired', 'canceled')),
    version bigint NOT NULL,
    field text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    bucket text COLLATE "C" NOT NULL,
    object_key text COLLATE "C",
    name text COLLATE "C",
    filename text NOT NULL,
    content_type text COLLATE "C" NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    checksum_algorithm text COLLATE "C",
    checksum_value text COLLATE "C",
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    url_lifetime_secs integer NOT NULL CHECK (url_lifetime_secs >= 0),
    confirmed_at timestamptz,
    confirmed_by text COLLATE "C" CHECK (confirmed_by IN ('client', 'service', 'event', 'sweeper')),
    etag text COLLATE "C",
    differences text,
    object_removed_at timestamptz,
    -- The record that the upload is meant for, or attached to.
    object_id text COLLATE "C",
    attach_at_confirm boolean NOT NULL DEFAULT FALSE CHECK (NOT attach_at_confirm OR object_id IS NOT NULL),
    grant_id text COLLATE "C",
    attached_at timestamptz,
    detached_at timestamptz,
    -- From when on the object of a detached upload may be removed.
    remove_after timestamptz,
    -- When the sweeper tries a pending upload again that it could not settle, and why it could not.
    sweep_after timestamptz,
    last_problem text,
    CHECK ((checksum_algorithm IS NULL) = (checksum_value IS NULL)),
    CHECK ((object_key IS NULL) = (name IS NULL) AND (object_key IS NULL) = (etag IS NULL)
        AND (object_key IS NULL) = (confirmed_at IS NULL) AND (object_key IS NULL) = (confirmed_by IS NULL)),
    -- A verified upload has a key, and no other upload has one.
    CHECK ((object_key IS NULL) = (status IN ('pending', 'rejected', 'expired', 'canceled')))
);
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
    object_key text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    upload_id text COLLATE "C" NOT NULL REFERENCES uploads (id),
    state text COLLATE "C" NOT NULL CHECK (state IN ('open', 'recorded', 'abandoned')),
    started_at timestamptz NOT NULL,
    object_removed_at timestamptz
);
CREATE INDEX seal_attempts_upload ON seal_attempts (upload_id);
CREATE INDEX seal_attempts_state ON seal_attempts (state, started_at);
-- IS TRUE, because SQLite prefers seal_attempts_state for a plain comparison, and would count and sort all abandoned attempts.
CREATE INDEX seal_attempts_pending_deletion ON seal_attempts (started_at, object_key)
    WHERE (state = 'abandoned') IS TRUE AND object_removed_at IS NULL;

-- Event ids begin with their time, so the primary key is the order of all events; (upload_id, seq) is the order of one upload's.
-- The body is the bytes that each attempt of a delivery sends.
CREATE TABLE events (
    id text COLLATE "C" PRIMARY KEY,
    upload_id text COLLATE "C" NOT NULL REFERENCES uploads (id),
    seq bigint NOT NULL,
    type text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    body text
);
CREATE UNIQUE INDEX events_upload ON events (upload_id, seq);

-- On a field of cardinality `one`, the upload that is attached to a record holds the record's slot. An attach locks the slot first.
CREATE TABLE attachment_slots (
    field text COLLATE "C" NOT NULL,
    object_id text COLLATE "C" NOT NULL,
    upload_id text COLLATE "C" NOT NULL REFERENCES uploads (id),
    PRIMARY KEY (field, object_id)
);

-- `used` only grows, by an update that demands used < max_uploads: a canceled upload does not decrease it.
CREATE TABLE grants (
    id text COLLATE "C" PRIMARY KEY,
    field text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    object_id text COLLATE "C",
    max_uploads integer NOT NULL CHECK (max_uploads > 0),
    max_size bigint NOT NULL CHECK (max_size > 0),
    used integer NOT NULL DEFAULT 0 CHECK (used >= 0 AND used <= max_uploads),
    issuer text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX grants_expiry ON grants (expires_at);

-- A request that succeeded, and the id of its result. It holds no URL and no token.
CREATE TABLE idempotency_keys (
    issuer text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    route text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    body_hash text COLLATE "C" NOT NULL,
    result_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (issuer, subject, route, key)
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

-- The delivery of one event to one endpoint. `lease` is the claim of the broker that is delivering it.
CREATE TABLE deliveries (
    endpoint text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL REFERENCES events (id),
    upload_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    lease text COLLATE "C",
    leased_until timestamptz,
    last_at timestamptz,
    last_status integer,
    last_error text,
    PRIMARY KEY (endpoint, event_id)
);
CREATE INDEX deliveries_due ON deliveries (endpoint, next_at) WHERE state = 'pending';
-- A failing event delays the later ones of its upload: this index finds the earlier ones.
CREATE UNIQUE INDEX deliveries_order ON deliveries (endpoint, upload_id, seq);
CREATE INDEX deliveries_state ON deliveries (state, endpoint, event_id);

-- Endpoints that answered 410: nothing is delivered to them.
CREATE TABLE disabled_endpoints (
    endpoint text COLLATE "C" PRIMARY KEY,
    disabled_at timestamptz NOT NULL,
    reason text NOT NULL
);

-- One row for each kind of periodic work. The broker that moved `held_until` by compare-and-set holds the lease until then.
CREATE TABLE leases (
    name text COLLATE "C" PRIMARY KEY,
    holder text COLLATE "C" NOT NULL,
    held_until timestamptz NOT NULL
);

-- The number and the declared bytes of an owner's pending uploads: reserved with the row, released when the upload leaves `pending`.
-- They change in the transaction that changes the row. No check keeps them above zero, so that a wrong counter does not keep
-- uploads from being settled; `bytepass fsck --counters` finds it.
-- Half of a page is left free, so that a counter is updated in its page.
CREATE TABLE owner_usage (
    owner text COLLATE "C" PRIMARY KEY,
    pending_count bigint NOT NULL,
    pending_bytes bigint NOT NULL
) WITH (fillfactor = 50);

-- The number of uploads, and their declared bytes together. A count is the sum of its slots, each of which may be below zero:
-- brokers that write at the same time use different slots.
CREATE TABLE upload_counts (
    field text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    slot integer NOT NULL,
    count bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (field, status, slot)
) WITH (fillfactor = 50);

-- The timeline of an upload: its status changes, and notes. Repeated notes are one entry with a count; the writer bounds the entries.
CREATE TABLE upload_log (
    upload_id text COLLATE "C" NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    entry bigint NOT NULL,
    at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    kind text COLLATE "C" NOT NULL,
    detail text NOT NULL,
    times bigint NOT NULL,
    PRIMARY KEY (upload_id, entry)
);

-- A public interface for other programs: columns are added here, and never changed or removed.
CREATE VIEW upload_v1 AS
SELECT id, status, field, owner, object_id, bucket, object_key AS key, name, filename, content_type, size,
    checksum_algorithm, checksum_value, etag, created_at, expires_at, confirmed_at, confirmed_by, attached_at, detached_at,
    object_removed_at
FROM uploads;
