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
    CHECK ((checksum_algorithm IS NULL) = (checksum_value IS NULL)),
    CHECK ((object_key IS NULL) = (name IS NULL) AND (object_key IS NULL) = (etag IS NULL)
        AND (object_key IS NULL) = (confirmed_at IS NULL) AND (object_key IS NULL) = (confirmed_by IS NULL)),
    -- Only what was verified has a key, and what has a key was verified.
    CHECK ((object_key IS NULL) = (
        status = 'pending' OR status = 'rejected' OR status = 'expired' OR status = 'canceled'))
) STRICT;
-- Partial: a create doesn't touch it, and a confirm takes no lock that a new seal attempt would wait for.
CREATE UNIQUE INDEX uploads_object ON uploads (bucket, object_key) WHERE object_key IS NOT NULL;
CREATE INDEX uploads_owner ON uploads (owner, id);
CREATE INDEX uploads_status ON uploads (status, id);
CREATE INDEX uploads_field ON uploads (field, id);
-- Statistics read nothing but this index.
CREATE INDEX uploads_stats ON uploads (field, status, created_at, size);

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

-- Event ids begin with their time, so the primary key reads on in order; (upload_id, seq) is the order of one upload.
CREATE TABLE events (
    id text PRIMARY KEY,
    upload_id text NOT NULL REFERENCES uploads (id),
    seq integer NOT NULL,
    type text NOT NULL,
    occurred_at text NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_upload ON events (upload_id, seq);
