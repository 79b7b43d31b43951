-- Enqueues sources so that the worker embeds them again.
--
-- Called by: triage::reindex, rarely and by a person, since it reads all sources of the tenant.
-- Index: index_jobs_flow_end.
-- Takes all sources of the tenant ($3), those of a kind ($4), or those named by id or key ($5).
WITH wanted AS (
    SELECT s.tenant_id, s.source_kind, s.id AS source, (SELECT count(*) FROM passages p WHERE p.source = s.id) AS items
    FROM sources s
    WHERE s.tenant_id = current_setting('pgrecall.tenant')
      AND ($3::bool OR s.source_kind = $4 OR s.source_id::text = ANY ($5::text[]) OR s.key = ANY ($5::text[]))),
f AS (SELECT $1::int4 AS space, $2::int8 AS flow),
{in_flow}
INSERT INTO index_jobs AS job (tenant_id, source_kind, source, space, order_key, items_total, flow, flow_end, trigger_kind, forced)
SELECT tagged.*, 'manual', true FROM tagged ORDER BY source
ON CONFLICT (source, space) DO UPDATE SET
    wanted = job.wanted + 1, order_key = least(job.order_key, excluded.order_key),
    flow = coalesce(job.flow, excluded.flow), flow_end = coalesce(job.flow_end, excluded.flow_end),
    status = CASE job.status WHEN 'running' THEN 'running' ELSE 'pending' END,
    next_run_at = NULL, attempts = 0, crash_count = 0, parked = 0, forced = true
