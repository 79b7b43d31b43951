-- Ends jobs that are done: into the history, or once more into the queue if they were wanted again meanwhile.
--
-- Called by: queue::settle, in the transaction that stored the last vectors. Fenced by the lease token; a row that is missing from
-- the answer was lost to another worker.
WITH held AS (
    SELECT j.id, j.wanted = done.wanted AS whole
    FROM unnest($1::int8[], $2::int4[]) AS done (id, wanted)
    JOIN index_jobs j USING (id)
    WHERE j.lease_token = $3::int8 AND j.status = 'running'
    FOR UPDATE OF j),
again AS (
    UPDATE index_jobs j SET status = 'pending', worker = NULL, lease_token = NULL, attempts = 0
    FROM held WHERE j.id = held.id AND NOT held.whole
    RETURNING j.id),
finished AS (
    DELETE FROM index_jobs j USING held WHERE j.id = held.id AND held.whole
    RETURNING j.*),
recorded AS (
    INSERT INTO index_job_history (job, tenant_id, source_kind, source, space, trigger_kind, attempts, occurrences, last_error, items,
                                   created_at, started_at)
    SELECT id, tenant_id, source_kind, source, space, trigger_kind, attempts, occurrences, last_error, items_done, created_at,
           started_at
    FROM finished
    RETURNING job)
SELECT job AS id, true AS finished FROM recorded UNION ALL SELECT id, false FROM again
