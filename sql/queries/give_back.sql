-- Returns claimed jobs to the queue without counting an attempt.
--
-- Called by: queue::give_back, if the embedder went away, a statement failed, or the worker stops.
-- Fenced by the lease token.
-- hold.sql has locked the jobs.
UPDATE index_jobs SET status = 'pending', worker = NULL, lease_token = NULL, called_at = NULL
WHERE source = ANY ($1::int8[]) AND lease_token = $2::int8 AND status = 'running'
