-- Enqueues index jobs for sources, one a source and living embedding space, in the writer's transaction.
--
-- Called by: queue::enqueue. Index: index_jobs_unit. A unit that is pending keeps the earlier order key and loses its backoff; one that is
-- running is wanted once more, and runs again when it ends; one that failed or was dismissed gets a new start. No two keys of a
-- statement are equal: a claim begins at the key where the last one ended, and would read all that has the same. The time and the tenant
-- are read once, and without a step of the plan that would pass them on: an eighth of the statement's time.
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
    -- Of a running one too: it was the old text that failed, and a last attempt must not bury the new one.
    attempts = 0,
    crash_count = 0,
    parked = 0,
    items_total = excluded.items_total,
    trace_id = excluded.trace_id,
    span_id = excluded.span_id
