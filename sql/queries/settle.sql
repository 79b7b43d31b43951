-- Ends jobs that are done, into the history.
--
-- Called by: queue::settle, in the transaction that stored the last vectors, with the jobs locked by hold.sql. Fenced by the lease token
-- and by what was wanted at the claim: a row that is missing from the answer was wanted again meanwhile, which settle_again.sql sees
-- to, or was lost to another worker. What the unit failed with before is resolved by this success.
WITH finished AS (
    DELETE FROM index_jobs j
    USING unnest($1::int8[], $2::int4[]) AS done (id, wanted)
    WHERE j.id = done.id AND j.lease_token = $3::int8 AND j.status = 'running' AND j.wanted = done.wanted
    RETURNING j.*),
resolved AS (
    UPDATE failures f SET resolved_at = clock_timestamp(), last_success_at = clock_timestamp()
    FROM finished WHERE f.source = finished.source AND f.space = finished.space AND f.resolved_at IS NULL),
recorded AS (
    INSERT INTO index_job_history (job, tenant_id, source_kind, source, space, trigger_kind, attempts, items, created_at, started_at)
    SELECT id, tenant_id, source_kind, source, space, trigger_kind, attempts + 1, items_done, created_at, started_at
    FROM finished)
SELECT id FROM finished
