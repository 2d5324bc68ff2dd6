-- What backends need: records, grants, repeated requests, deliveries. Only additions, so that the version before still runs.

-- The record that an upload is meant for, and later attached to; whether a confirm attaches it by itself; the grant it was
-- made under; from when on the object of a detached upload may be removed.
ALTER TABLE uploads ADD COLUMN object_id text;
ALTER TABLE uploads ADD COLUMN attach_at_confirm integer NOT NULL DEFAULT 0 CHECK (attach_at_confirm = 0 OR attach_at_confirm = 1);
ALTER TABLE uploads ADD COLUMN grant_id text;
ALTER TABLE uploads ADD COLUMN attached_at text;
ALTER TABLE uploads ADD COLUMN detached_at text;
ALTER TABLE uploads ADD COLUMN remove_after text;
CREATE INDEX uploads_record ON uploads (object_id, field, id) WHERE object_id IS NOT NULL;
-- What the remover looks for: due, and its object not seen to be gone.
CREATE INDEX uploads_removal ON uploads (remove_after, id) WHERE remove_after IS NOT NULL AND object_removed_at IS NULL;

-- On a field of cardinality `one`, who holds a record's slot is attached to it, and nobody else. An attach takes the slot first.
CREATE TABLE attachment_slots (
    field text NOT NULL,
    object_id text NOT NULL,
    upload_id text NOT NULL REFERENCES uploads (id),
    PRIMARY KEY (field, object_id)
) STRICT;

-- `used` only grows, by an update that demands used < max_uploads: a canceled upload gives nothing back.
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

-- A request that succeeded, and the id of what it made: never a URL, never a token.
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

-- The bytes that every attempt of a delivery sends, written with the event; null for events older than this column.
ALTER TABLE events ADD COLUMN body text;

-- One event on its way to one endpoint.
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
-- A failing event holds the later ones of its upload back: this finds whether there is an earlier one.
CREATE UNIQUE INDEX deliveries_order ON deliveries (endpoint, upload_id, seq);
CREATE INDEX deliveries_state ON deliveries (state, endpoint, event_id);

-- Endpoints that asked not to be called any more, by 410.
CREATE TABLE disabled_endpoints (
    endpoint text PRIMARY KEY,
    disabled_at text NOT NULL,
    reason text NOT NULL
) STRICT;

-- What other programs may read, and rely on: columns are added here and never changed.
CREATE VIEW upload_v1 AS
SELECT id, status, field, owner, object_id, bucket, object_key AS key, name, filename, content_type, size,
    checksum_algorithm, checksum_value, etag, created_at, expires_at, confirmed_at, confirmed_by, attached_at, detached_at,
    object_removed_at
FROM uploads;
