DROP VIEW upload_v1;
DROP TABLE disabled_endpoints;
DROP TABLE deliveries;
ALTER TABLE events DROP COLUMN body;
DROP TABLE idempotency_keys;
DROP TABLE grants;
DROP TABLE attachment_slots;
DROP INDEX uploads_removal;
DROP INDEX uploads_record;
ALTER TABLE uploads
    DROP COLUMN remove_after,
    DROP COLUMN detached_at,
    DROP COLUMN attached_at,
    DROP COLUMN grant_id,
    DROP COLUMN attach_at_confirm,
    DROP COLUMN object_id;
