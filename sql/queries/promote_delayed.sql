-- Makes delayed and parked jobs ready when they are due.
--
-- Called by: queue::promote, when a claim has found no job, before the worker sleeps. Index:
-- index_jobs_delayed.
-- Until then these jobs are not in the claim's index. Returns how many are ready, and in how many
-- seconds the next one is due. A parked job keeps its attempts: it has one attempt, and is parked
-- for twice as long if that fails. SKIP LOCKED: a locked job is left for the next call.
WITH due AS MATERIALIZED (
    SELECT ctid FROM index_jobs WHERE next_run_at <= statement_timestamp() FOR UPDATE SKIP LOCKED),
ready AS (
    UPDATE index_jobs SET next_run_at = NULL, status = 'pending' WHERE ctid = ANY (ARRAY(SELECT ctid FROM due)) RETURNING source)
SELECT (SELECT count(*) FROM ready) AS promoted,
       (SELECT extract(epoch FROM min(next_run_at) - clock_timestamp())::float8
        FROM index_jobs WHERE next_run_at > statement_timestamp() AND next_run_at < 'infinity') AS next_in
