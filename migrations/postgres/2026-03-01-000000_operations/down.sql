DROP INDEX uploads_due;
DROP TABLE upload_log;
ALTER TABLE uploads
    DROP COLUMN last_problem,
    DROP COLUMN sweep_after;
DROP INDEX uploads_status;
CREATE INDEX uploads_status ON uploads (status, id);
CREATE INDEX uploads_stats ON uploads (field, status, created_at, size);
DROP TABLE upload_counts;
DROP TABLE owner_usage;
DROP TABLE leases;
DROP INDEX seal_attempts_owed;
DROP INDEX uploads_unattached;
DROP INDEX uploads_owed;
