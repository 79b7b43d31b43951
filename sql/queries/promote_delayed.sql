-- Makes jobs ready whose time has come, delayed and parked ones alike. Until then they are not in the claim's index.
--
-- Called by: queue::promote, before each poll. Index: index_jobs_delayed. Returns how many there were, and in how many seconds the next
-- one is due. A parked one keeps its attempts: it has one try until it is parked again, for twice as long. Waits for nobody: what is locked is
-- left for the next time.
WITH due AS MATERIALIZED (
    SELECT ctid FROM index_jobs WHERE next_run_at <= statement_timestamp() FOR UPDATE SKIP LOCKED),
ready AS (
    UPDATE index_jobs SET next_run_at = NULL, status = 'pending' WHERE ctid = ANY (ARRAY(SELECT ctid FROM due)) RETURNING source)
SELECT (SELECT count(*) FROM ready) AS promoted,
       (SELECT extract(epoch FROM min(next_run_at) - clock_timestamp())::float8
        FROM index_jobs WHERE next_run_at > statement_timestamp() AND next_run_at < 'infinity') AS next_in
