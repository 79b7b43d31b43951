-- Drops what the audit log has kept for long enough ($1, days), a part at a time.
--
-- Called by: audit::retain, every hour. Index: audit_log_by_time. Returns whether there may be more.
WITH dropped AS (
    DELETE FROM audit_log WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM audit_log WHERE at < clock_timestamp() - $1::int4 * interval '1 day' LIMIT 5000))
    RETURNING 1)
SELECT count(*) = 5000 AS more FROM dropped
