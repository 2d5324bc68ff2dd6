-- An owner's uploads, without a page of an index for each owner in every batch of creates, which was half of what a batch wrote.
-- Pending ones lie in a few shards, each in the order of the ids: a hash of the owner, and -1 for rows of the version before, which
-- knows no shards. What is settled is found by its owner alone.
ALTER TABLE uploads ADD COLUMN owner_shard integer NOT NULL DEFAULT -1;
CREATE INDEX uploads_pending_owner ON uploads (owner_shard, id, owner) WHERE (status = 'pending') IS TRUE;
DROP INDEX uploads_owner;
CREATE INDEX uploads_owner ON uploads (owner, id) WHERE (status <> 'pending') IS TRUE;
