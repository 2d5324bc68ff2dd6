-- Ids, names and statuses compare by byte ("C"), as they do on SQLite: both databases list in the same order, and a
-- model's fields are one range of an index.
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
    CHECK ((checksum_algorithm IS NULL) = (checksum_value IS NULL)),
    CHECK ((object_key IS NULL) = (name IS NULL) AND (object_key IS NULL) = (etag IS NULL)
        AND (object_key IS NULL) = (confirmed_at IS NULL) AND (object_key IS NULL) = (confirmed_by IS NULL)),
    -- Only what was verified has a key, and what has a key was verified.
    CHECK ((object_key IS NULL) = (status IN ('pending', 'rejected', 'expired', 'canceled')))
);
-- Partial: a create doesn't touch it, and a confirm takes no lock that a new seal attempt would wait for.
CREATE UNIQUE INDEX uploads_object ON uploads (bucket, object_key) WHERE object_key IS NOT NULL;
CREATE INDEX uploads_owner ON uploads (owner, id);
CREATE INDEX uploads_status ON uploads (status, id);
CREATE INDEX uploads_field ON uploads (field, id);
-- Statistics read nothing but this index.
CREATE INDEX uploads_stats ON uploads (field, status, created_at, size);

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

-- Event ids begin with their time, so the primary key reads on in order; (upload_id, seq) is the order of one upload.
CREATE TABLE events (
    id text COLLATE "C" PRIMARY KEY,
    upload_id text COLLATE "C" NOT NULL REFERENCES uploads (id),
    seq bigint NOT NULL,
    type text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX events_upload ON events (upload_id, seq);
