-- Enqueues the tenant's sources with missing or stale vectors, and retries their failed jobs.
--
-- Called by: triage::reindex. Indexes: {vectors}_pkey, index_jobs_unit.
-- Failed, delayed and dismissed jobs of these sources are ready at once; other open jobs stay as
-- they are.
INSERT INTO index_jobs AS job (tenant_id, source_kind, source, space, trigger_kind, order_key, items_total)
SELECT p.tenant_id, p.source_kind, p.source, $1::int4, 'manual', clock_timestamp(), count(*)
FROM passages p
WHERE p.tenant_id = current_setting('pgrecall.tenant')
  AND NOT EXISTS (SELECT FROM {vectors} v WHERE v.passage = p.id AND v.text_hash = p.text_hash)
GROUP BY p.tenant_id, p.source_kind, p.source
ORDER BY p.source
ON CONFLICT (source, space) DO UPDATE SET
    status = CASE job.status WHEN 'running' THEN 'running' ELSE 'pending' END,
    next_run_at = NULL, attempts = 0, crash_count = 0, parked = 0
WHERE job.status = 'failed' OR job.next_run_at IS NOT NULL
