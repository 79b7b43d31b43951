-- Enqueues the tenant's sources with missing or stale vectors, and retries their failed jobs.
--
-- Called by: triage::reindex. Indexes: {vectors}_pkey, index_jobs_unit, index_jobs_flow_end.
-- Failed, delayed and dismissed jobs of these sources are ready at once; other open jobs stay as
-- they are.
WITH wanted AS (
    SELECT p.tenant_id, p.source_kind, p.source, count(*) AS items
    FROM passages p
    WHERE p.tenant_id = current_setting('pgrecall.tenant')
      AND NOT EXISTS (SELECT FROM {vectors} v WHERE v.passage = p.id AND v.text_hash = p.text_hash)
    GROUP BY p.tenant_id, p.source_kind, p.source),
f AS (SELECT $1::int4 AS space, $2::int8 AS flow),
{in_flow}
INSERT INTO index_jobs AS job (tenant_id, source_kind, source, space, order_key, items_total, flow, flow_end, trigger_kind)
SELECT tagged.*, 'manual' FROM tagged ORDER BY source
ON CONFLICT (source, space) DO UPDATE SET
    status = CASE job.status WHEN 'running' THEN 'running' ELSE 'pending' END,
    next_run_at = NULL, attempts = 0, crash_count = 0, parked = 0
WHERE job.status = 'failed' OR job.next_run_at IS NOT NULL
