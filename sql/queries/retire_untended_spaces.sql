-- Retires spaces that no worker fills any more, and deletes their waiting jobs.
--
-- Called by: spaces::drop_retired, before drop_retired_spaces.sql.
-- A change of the model that was undone before the cutover leaves one. Compares two stamps of
-- reconcilers, so that a time without any worker does not count. $1 is how many seconds a replaced
-- space is kept; the bound is at least a day, since no reconciler visits a space while its index is
-- built, which takes hours.
-- SKIP LOCKED: a job that a writer has locked is left for drop_retired_spaces.sql. Reads the table
-- of open jobs only if it finds a space.
WITH untended AS (
    UPDATE embedding_spaces SET state = 'retired', retired_at = clock_timestamp()
    WHERE state IN ('building', 'ready')
      AND tended_at < (SELECT tended_at FROM embedding_spaces WHERE state = 'active')
                      - greatest($1::float8 * interval '1 second', interval '1 day')
    RETURNING id),
abandoned AS (
    DELETE FROM index_jobs WHERE ctid = ANY (ARRAY(
        SELECT j.ctid FROM index_jobs j
        WHERE j.space IN (SELECT id FROM untended) AND j.status <> 'running'
        FOR UPDATE OF j SKIP LOCKED)))
SELECT count(*) AS retired FROM untended
