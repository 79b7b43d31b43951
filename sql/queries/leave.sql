-- Returns all jobs of a worker to the queue, and deletes its row.
--
-- Called by: queue::leave, on a graceful stop, after lock_worker_row.sql.
-- Locks the jobs in the order of sources, as every transaction does that locks several.
WITH held AS MATERIALIZED (
    SELECT source, space FROM index_jobs WHERE worker = $1::int8 AND status = 'running' ORDER BY source, space FOR UPDATE),
given_back AS (
    UPDATE index_jobs j SET status = 'pending', worker = NULL, lease_token = NULL, called_at = NULL
    FROM held WHERE j.source = held.source AND j.space = held.space)
DELETE FROM workers WHERE id = $1::int8
