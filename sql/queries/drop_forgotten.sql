-- Deletes forgotten records that were kept longer than $1 seconds, 1,000 at a time.
--
-- Called by: forget::retain, every hour. Index: forgotten_by_time. Returns whether there may be
-- more.
WITH dropped AS (
    DELETE FROM forgotten_sources WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM forgotten_sources WHERE forgotten_at < clock_timestamp() - $1::float8 * interval '1 second' LIMIT 1000))
    RETURNING 1)
SELECT count(*) = 1000 AS more FROM dropped
