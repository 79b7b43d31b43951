-- Notes that a call begins which holds this job alone: if the worker dies now, it is this job's doing.
--
-- Called by: queue::call_alone, for jobs that a dead worker held before. Fenced by the lease token.
UPDATE index_jobs SET called_at = clock_timestamp() WHERE source = $1::int8 AND lease_token = $2::int8 AND status = 'running' RETURNING source
