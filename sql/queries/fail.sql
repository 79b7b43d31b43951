-- Counts a failure against a job, and delays its retry or parks it after the last attempt.
--
-- Called by: queue::fail. Fenced by the lease token. The primary key finds the job
-- (index_jobs_unit).
-- The delay doubles from ten seconds to an hour, with full jitter, by the database's clock. If the
-- source was written again while the job ran, the old text failed: the job is ready at once, with
-- all its attempts.
WITH failing AS (
    UPDATE index_jobs j SET
        attempts = next.attempts, parked = next.parked,
        status = CASE WHEN next.parked > j.parked THEN 'failed' ELSE 'pending' END,
        next_run_at = CASE
            WHEN j.wanted > $3::int4 THEN NULL
            WHEN next.parked > j.parked THEN clock_timestamp() + parking_time(next.parked)
            ELSE clock_timestamp() + random() * least(10 * 2 ^ (next.attempts - 1), 3600) * interval '1 second' END,
        worker = NULL, lease_token = NULL, called_at = NULL
    FROM (SELECT source, lease_token, CASE WHEN wanted > $3::int4 THEN 0 ELSE attempts + 1 END AS attempts,
                 parked + (wanted = $3::int4 AND attempts + 1 >= $4::int4)::int AS parked
          FROM index_jobs WHERE source = $1::int8 AND lease_token = $2::int8 AND status = 'running' FOR UPDATE) AS next
    WHERE j.source = next.source AND j.lease_token = next.lease_token
    RETURNING j.source, j.space, j.tenant_id, j.source_kind, j.status, $5 AS error_class, $6 AS last_error),
recorded AS (
    {record_failures})
SELECT status = 'failed' AS parked FROM failing
