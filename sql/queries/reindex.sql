-- Enqueues sources so that the worker embeds them again.
--
-- Called by: triage::reindex, rarely and by a person, since it reads all sources of the tenant.
-- Takes all sources of the tenant ($2), those of a kind ($3), or those named by id or key ($4). A
-- reindex of many sources has a later order key than fresh writes ($5, seconds).
INSERT INTO index_jobs AS job (tenant_id, source_kind, source, space, trigger_kind, order_key, items_total, forced)
SELECT s.tenant_id, s.source_kind, s.id, $1::int4, 'manual', clock_timestamp() + $5::float8 * interval '1 second',
       (SELECT count(*) FROM passages p WHERE p.source = s.id), true
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant')
  AND ($2::bool OR s.source_kind = $3 OR s.source_id::text = ANY ($4::text[]) OR s.key = ANY ($4::text[]))
ORDER BY s.id
ON CONFLICT (source, space) DO UPDATE SET
    wanted = job.wanted + 1, order_key = least(job.order_key, excluded.order_key),
    status = CASE job.status WHEN 'running' THEN 'running' ELSE 'pending' END,
    next_run_at = NULL, attempts = 0, crash_count = 0, parked = 0, forced = true
