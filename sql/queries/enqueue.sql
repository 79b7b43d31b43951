-- Enqueues index jobs for sources, one per source and space in use.
--
-- Called by: queue::enqueue, in the writer's transaction. Indexes: index_jobs_unit,
-- index_jobs_flow_end.
-- The jobs of a flow ($6, of those in $7) follow each other from its start: a job's tag is that many
-- passages later ($8) as its predecessors in this statement have. $9 is the end of the last job of
-- each flow, which keeps where the flow ends, and NULL for the others. A pending job keeps the earlier tag and loses its backoff.
-- A running job is wanted again, and runs again after it ends. A failed or dismissed job starts
-- over.
-- A scalar subquery reads the tenant once, without a plan node that passes it on.
WITH starts AS MATERIALIZED (
    SELECT f.space, f.flow, start.tag
    FROM (SELECT space.id AS space, f.flow
          FROM embedding_spaces space CROSS JOIN unnest($7::int8[]) AS f (flow)
          WHERE space.state <> 'retired') AS f
    CROSS JOIN LATERAL (
        {start}) AS start)
INSERT INTO index_jobs AS job (tenant_id, source_kind, source, space, trigger_kind, order_key, items_total, trace_id, span_id, flow, flow_end)
SELECT (SELECT current_setting('pgrecall.tenant')), u.source_kind, u.source, f.space, 'write',
       f.tag + u.before * interval '1 millisecond', u.items, $4::uuid, $5::int8,
       CASE WHEN u.upto IS NOT NULL THEN f.flow END, f.tag + u.upto * interval '1 millisecond'
FROM unnest($1::int8[], $2::text[], $3::int4[], $6::int8[], $8::int8[], $9::int8[]) AS u (source, source_kind, items, flow, before, upto)
JOIN starts f ON f.flow = u.flow
ORDER BY u.source, f.space
ON CONFLICT (source, space) DO UPDATE SET
    wanted = job.wanted + 1,
    trigger_kind = excluded.trigger_kind,
    order_key = least(job.order_key, excluded.order_key),
    flow = coalesce(job.flow, excluded.flow),
    flow_end = coalesce(job.flow_end, excluded.flow_end),
    status = CASE job.status WHEN 'running' THEN 'running' ELSE 'pending' END,
    next_run_at = NULL,
    -- Also for a running job: the old text failed, and its last attempt must not park the new text.
    attempts = 0,
    crash_count = 0,
    parked = 0,
    items_total = excluded.items_total,
    trace_id = excluded.trace_id,
    span_id = excluded.span_id
