-- Retires the spaces that nobody fills any more, and drops their waiting jobs: what is left of a change of the model that was taken back before
-- it was over. $1: for how many seconds a replaced space is kept.
--
-- Called by: spaces::drop_retired, before drop_retired_spaces.sql. Reads the open jobs where there is such a space. What is compared are
-- two stamps of reconcilers: after a time without any program both are old. A day at the least, since nobody looks at a space while its index is
-- built, which takes hours. Waits for no job: one that a writer has locked is left for drop_retired_spaces.sql.
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
