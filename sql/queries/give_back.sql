-- Gives claimed jobs back with their attempt: the embedder went away, or this worker stops. It was not the jobs' fault.
--
-- Called by: queue::give_back. Fenced by the lease token. Attempts may be none: a write while the job ran cleared them.
UPDATE index_jobs SET status = 'pending', worker = NULL, lease_token = NULL, attempts = greatest(attempts - 1, 0)
WHERE id = ANY ($1::int8[]) AND lease_token = $2::int8 AND status = 'running'
