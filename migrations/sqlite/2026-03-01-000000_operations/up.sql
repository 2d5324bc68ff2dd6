-- What operations need: what is due, who holds which work, what an owner has pending, what happened. Only additions.

-- When the sweeper tries a pending upload again whose state it could not learn, and what the last problem was.
ALTER TABLE uploads ADD COLUMN sweep_after text;
ALTER TABLE uploads ADD COLUMN last_problem text;

-- What the sweeper looks for, each by an index of its own that holds nothing else. A plain comparison of the
-- status would let SQLite prefer the index of that alone, and sort.
-- By the time of the next try, so that those whose state can't be learned are not in the way of the others.
CREATE INDEX uploads_due ON uploads (COALESCE(sweep_after, expires_at), id) WHERE (status = 'pending') IS TRUE;
CREATE INDEX uploads_owed ON uploads (id)
    WHERE object_removed_at IS NULL AND (status = 'rejected' OR status = 'deleted') IS TRUE;
CREATE INDEX uploads_unattached ON uploads (field, confirmed_at, id) WHERE (status = 'confirmed') IS TRUE;
CREATE INDEX seal_attempts_owed ON seal_attempts (started_at, object_key)
    WHERE (state = 'abandoned') IS TRUE AND object_removed_at IS NULL;

-- One row a kind of work; who moved `held_until` by compare-and-set has it until then.
CREATE TABLE leases (
    name text PRIMARY KEY,
    holder text NOT NULL,
    held_until text NOT NULL
) STRICT;

-- What an owner has pending: reserved with the row, given back when the upload ends. No check keeps it above zero: beside a broker of
-- an older version, which counts nothing, more may be given back than was reserved, until the next recount.
CREATE TABLE owner_usage (
    owner text PRIMARY KEY,
    pending_count integer NOT NULL,
    pending_bytes integer NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO owner_usage (owner, pending_count, pending_bytes)
SELECT owner, COUNT(*), CAST(SUM(size) AS integer) FROM uploads WHERE status = 'pending' GROUP BY owner;

-- How many uploads there are, and their declared sizes together. A count is the sum of its slots, of which each may be below zero:
-- brokers that write at once take different ones.
CREATE TABLE upload_counts (
    field text NOT NULL,
    status text NOT NULL,
    slot integer NOT NULL,
    count integer NOT NULL,
    bytes integer NOT NULL,
    PRIMARY KEY (field, status, slot)
) STRICT, WITHOUT ROWID;
INSERT INTO upload_counts (field, status, slot, count, bytes)
SELECT field, status, 0, COUNT(*), CAST(SUM(size) AS integer) FROM uploads GROUP BY field, status;
DROP INDEX uploads_stats;
-- With the field, so that the oldest pending upload of each is found without reading rows.
DROP INDEX uploads_status;
CREATE INDEX uploads_status ON uploads (status, id, field);

-- What happened to an upload, for people: its status changes and notes. What repeats is one entry; bounded by its writer.
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
