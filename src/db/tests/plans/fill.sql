-- Rows from which the planner learns the frequencies: most uploads are settled, few are pending.
ALTER TABLE seal_attempts DISABLE TRIGGER ALL;
ALTER TABLE events DISABLE TRIGGER ALL;
ALTER TABLE deliveries DISABLE TRIGGER ALL;
ALTER TABLE upload_log DISABLE TRIGGER ALL;
ALTER TABLE attachment_slots DISABLE TRIGGER ALL;
INSERT INTO uploads (id, status, version, field, owner, bucket, filename, content_type, size, created_at, expires_at,
    url_lifetime_secs, object_key, name, etag, confirmed_at, confirmed_by, object_id, remove_after)
SELECT 'upl_' || lpad(n::text, 26, '0'), CASE WHEN n % 100 = 0 THEN 'confirmed' ELSE 'attached' END, 2,
    'Model' || n % 200 || '.image', 'user:' || n % 500, 'media', 'f', 'image/jpeg', 1, now(), now(), 900, 'k' || n, 'n', 'e', now(),
    'client', n::text, CASE WHEN n % 50 = 1 THEN now() END FROM generate_series(1, 20000) AS n;
INSERT INTO uploads (id, status, version, field, owner, bucket, filename, content_type, size, created_at, expires_at,
    url_lifetime_secs)
SELECT 'upm_' || lpad(n::text, 26, '0'), CASE WHEN n % 3 = 0 THEN 'pending' WHEN n % 3 = 1 THEN 'expired' ELSE 'rejected' END, 1,
    'Model' || n % 200 || '.image', 'user:' || n % 500, 'media', 'f', 'image/jpeg', 1, now(), now(), 900
FROM generate_series(1, 600) AS n;
INSERT INTO seal_attempts (object_key, name, upload_id, state, started_at)
SELECT 'k' || n, 'n', 'upl_' || lpad(n::text, 26, '0'),
    CASE WHEN n % 100 = 0 THEN 'open' WHEN n % 100 = 1 THEN 'abandoned' ELSE 'recorded' END, now()
FROM generate_series(1, 20000) AS n;
INSERT INTO events (id, upload_id, seq, type, occurred_at)
SELECT 'evt_' || lpad(n::text, 26, '0'), 'upl_' || lpad((n / 2)::text, 26, '0'), 1 + n % 2, 'upload.confirmed', now()
FROM generate_series(1, 20000) AS n;
INSERT INTO deliveries (endpoint, event_id, upload_id, seq, state, next_at, last_at)
SELECT CASE WHEN n % 2 = 0 THEN 'all' ELSE 'other' END, 'evt_' || lpad(n::text, 26, '0'), 'upl_' || lpad((n / 2)::text, 26, '0'), 1 + n % 2,
    CASE WHEN n % 100 = 0 THEN 'pending' WHEN n % 100 = 1 THEN 'dead' ELSE 'delivered' END, now(), now()
FROM generate_series(1, 20000) AS n;
INSERT INTO grants (id, field, owner, max_uploads, max_size, issuer, subject, created_at, expires_at)
SELECT 'grt_' || n, 'Model.image', 'user:' || n, 1, 1, 'i', 's', now(), now() + n * interval '1 second' FROM generate_series(1, 5000) AS n;
INSERT INTO idempotency_keys (issuer, subject, route, key, body_hash, result_id, created_at, expires_at)
SELECT 'i', 'user:' || n % 50, 'r', 'k' || n, 'h', 'upl_' || n, now(), now() + n * interval '1 second' FROM generate_series(1, 5000) AS n;
INSERT INTO upload_log (upload_id, entry, at, last_at, kind, detail, times)
SELECT 'upl_' || lpad((n / 4)::text, 26, '0'), 1 + n % 4, now(), now(), 'confirmed', '', 1 FROM generate_series(1, 20000) AS n;
INSERT INTO owner_usage (owner, pending_count, pending_bytes) SELECT 'u' || n, 1, 1 FROM generate_series(1, 5000) AS n;
INSERT INTO attachment_slots (field, object_id, upload_id)
SELECT 'Model' || n % 200 || '.image', n::text, 'upl_' || lpad(n::text, 26, '0') FROM generate_series(1, 5000) AS n;
ANALYZE;
