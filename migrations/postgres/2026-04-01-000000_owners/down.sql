DROP INDEX uploads_owner;
CREATE INDEX uploads_owner ON uploads (owner, id);
DROP INDEX uploads_unsharded_owner;
DROP INDEX uploads_pending_owner;
ALTER TABLE uploads DROP COLUMN owner_shard;
