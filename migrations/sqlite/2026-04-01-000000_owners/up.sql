-- An owner's uploads, without a page of an index for each owner in every batch of creates, which was half of what a batch wrote.
-- Pending ones lie in a few shards, each in the order of the ids: the number is a hash of the owner.
ALTER TABLE uploads ADD COLUMN owner_shard integer NOT NULL DEFAULT -1;
CREATE INDEX uploads_pending_owner ON uploads (owner_shard, id, owner)
    WHERE (status = 'pending') IS TRUE AND (owner_shard >= 0) IS TRUE;
-- What the version before makes, and had made when this came: it knows no shards, and the default is none.
CREATE INDEX uploads_unsharded_owner ON uploads (owner, id)
    WHERE (status = 'pending') IS TRUE AND (owner_shard < 0) IS TRUE;
DROP INDEX uploads_owner;
CREATE INDEX uploads_owner ON uploads (owner, id) WHERE (status <> 'pending') IS TRUE;
