-- Makes jobs ready whose time has come, so that the claim's index holds ready jobs only.
--
-- Called by: queue::promote, before each poll. Index: index_jobs_delayed. Returns when the next one is due, in seconds.
WITH due AS (
    UPDATE index_jobs SET next_run_at = NULL
    WHERE status = 'pending' AND next_run_at <= clock_timestamp())
SELECT extract(epoch FROM min(next_run_at) - clock_timestamp())::float8 AS next_in
FROM index_jobs WHERE status = 'pending' AND next_run_at > clock_timestamp()
