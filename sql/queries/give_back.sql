-- Gives claimed jobs back: the embedder went away, a statement failed, or this worker stops. It was not the jobs' fault, and costs
-- them nothing.
--
-- Called by: queue::give_back. Fenced by the lease token.
UPDATE index_jobs SET status = 'pending', worker = NULL, lease_token = NULL, called_at = NULL
WHERE source = ANY ($1::int8[]) AND lease_token = $2::int8 AND status = 'running'
