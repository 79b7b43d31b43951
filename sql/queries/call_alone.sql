-- Stamps the start of an embedder call that has only this job.
--
-- Called by: queue::call_alone, for jobs that a dead worker held before. Fenced by the lease token.
-- If the worker dies during this call, the reaper charges the crash to this job (reap.sql).
UPDATE index_jobs SET called_at = clock_timestamp() WHERE source = $1::int8 AND lease_token = $2::int8 AND status = 'running' RETURNING source
