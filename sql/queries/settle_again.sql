-- Puts jobs back into the queue that were wanted again while they ran.
--
-- Called by: queue::settle, after settle.sql in the same transaction, for what that left. Fenced by the lease token. `forced` stays:
-- it may be a reindex that asked for the next run.
UPDATE index_jobs SET status = 'pending', worker = NULL, lease_token = NULL, called_at = NULL, attempts = 0, crash_count = 0,
    parked = 0
WHERE source = ANY ($1::int8[]) AND lease_token = $2::int8 AND status = 'running'
RETURNING source
