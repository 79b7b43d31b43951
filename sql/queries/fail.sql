-- Counts a failure against a job: it waits and tries again, or is failed after its last attempt.
--
-- Called by: queue::fail. Fenced by the lease token. The wait doubles from ten seconds, with full jitter, by the database's clock.
UPDATE index_jobs SET
    status = CASE WHEN attempts >= $3::int4 THEN 'failed' ELSE 'pending' END,
    next_run_at = CASE WHEN attempts >= $3::int4 THEN NULL
                  ELSE clock_timestamp() + random() * least(10 * 2 ^ (attempts - 1), 3600) * interval '1 second' END,
    failed_at = clock_timestamp(), occurrences = occurrences + 1, error_class = $4, last_error = $5,
    worker = NULL, lease_token = NULL
WHERE id = $1::int8 AND lease_token = $2::int8 AND status = 'running'
RETURNING status
