-- Ends jobs that are done: into the history, or once more into the queue if they were wanted again meanwhile.
--
-- Called by: queue::settle, in the transaction that stored the last vectors. Fenced by the lease token; a row that is missing from
-- the answer was lost to another worker. What the unit failed with before is resolved by this success.
WITH held AS (
    SELECT j.id, j.wanted = done.wanted AS whole
    FROM unnest($1::int8[], $2::int4[]) AS done (id, wanted)
    JOIN index_jobs j USING (id)
    WHERE j.lease_token = $3::int8 AND j.status = 'running'
    FOR UPDATE OF j),
again AS (
    UPDATE index_jobs j SET status = 'pending', worker = NULL, lease_token = NULL, called_at = NULL, attempts = 0, crash_count = 0,
        parked = 0, forced = false
    FROM held WHERE j.id = held.id AND NOT held.whole
    RETURNING j.id),
finished AS (
    DELETE FROM index_jobs j USING held WHERE j.id = held.id AND held.whole
    RETURNING j.*),
resolved AS (
    UPDATE failures f SET resolved_at = clock_timestamp(), last_success_at = clock_timestamp()
    FROM finished WHERE f.source = finished.source AND f.space = finished.space AND f.resolved_at IS NULL),
recorded AS (
    INSERT INTO index_job_history (job, tenant_id, source_kind, source, space, trigger_kind, attempts, items, created_at, started_at)
    SELECT id, tenant_id, source_kind, source, space, trigger_kind, attempts + 1, items_done, created_at, started_at
    FROM finished
    RETURNING job)
SELECT job AS id, true AS finished FROM recorded UNION ALL SELECT id, false FROM again
