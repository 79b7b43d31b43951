-- Deletes versions that were replaced more than $1 seconds ago, 1,000 at a time.
--
-- Called by: versions::retain, every hour. Index: versions_by_time. Returns whether there may be
-- more.
WITH dropped AS (
    DELETE FROM source_versions WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM source_versions WHERE replaced_at < clock_timestamp() - $1::float8 * interval '1 second' LIMIT 1000))
    RETURNING 1)
SELECT count(*) = 1000 AS more FROM dropped
