DROP INDEX uploads_due;
DROP TABLE upload_log;
ALTER TABLE uploads DROP COLUMN last_problem;
ALTER TABLE uploads DROP COLUMN sweep_after;
DROP TABLE owner_usage;
DROP TABLE leases;
DROP INDEX seal_attempts_owed;
DROP INDEX uploads_unattached;
DROP INDEX uploads_owed;
