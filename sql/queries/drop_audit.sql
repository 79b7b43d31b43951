-- Deletes audit entries that are older than the retention ($1, days), one batch at a time.
--
-- Called by: audit::retain, every hour. Returns whether there may be more.
-- The worker's role may not delete entries. The function may, and it keeps those of the last 7 days
-- (V32).
SELECT drop_old_audit($1::int4) AS more
