-- Enqueues index jobs for sources, one per source and space in use.
--
-- Called by: queue::enqueue, in the writer's transaction. Index: index_jobs_unit.
-- A pending job keeps the earlier order key and loses its backoff. A running job is wanted again,
-- and runs again after it ends. A failed or dismissed job starts over.
-- Order keys differ by a microsecond: a claim begins at the key where the last one ended, and would
-- read all jobs that share it. Scalar subqueries read the time and the tenant once, without a plan
-- node that passes them on, which saves an eighth of the statement's time.
INSERT INTO index_jobs AS job (tenant_id, source_kind, source, space, trigger_kind, order_key, items_total, trace_id, span_id)
SELECT (SELECT current_setting('pgrecall.tenant')), u.source_kind, u.source, space.id, 'write',
       (SELECT clock_timestamp()) + u.place * interval '1 microsecond', u.items, $4::uuid, $5::int8
FROM unnest($1::int8[], $2::text[], $3::int4[]) WITH ORDINALITY AS u (source, source_kind, items, place)
CROSS JOIN embedding_spaces space
WHERE space.state <> 'retired'
ORDER BY u.source, space.id
ON CONFLICT (source, space) DO UPDATE SET
    wanted = job.wanted + 1,
    trigger_kind = excluded.trigger_kind,
    order_key = least(job.order_key, excluded.order_key),
    status = CASE job.status WHEN 'running' THEN 'running' ELSE 'pending' END,
    next_run_at = NULL,
    -- Also for a running job: the old text failed, and its last attempt must not park the new text.
    attempts = 0,
    crash_count = 0,
    parked = 0,
    items_total = excluded.items_total,
    trace_id = excluded.trace_id,
    span_id = excluded.span_id
