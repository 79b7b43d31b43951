-- Counts by kind the sources that the caller may read, and their open jobs.
--
-- Called by: status::status. Indexes: sources_by_owner, sources_by_visibility (index-only: they
-- hold the columns that row-level security reads).
-- Sources and jobs that the caller may not read do not count. A failed job whose `next_run_at` is
-- infinity was dismissed.
SELECT s.source_kind, s.sources, coalesce(j.pending, 0) AS pending, coalesce(j.running, 0) AS running,
       coalesce(j.failed, 0) AS failed, coalesce(j.dismissed, 0) AS dismissed
FROM (
    SELECT source_kind, count(*) AS sources
    FROM (SELECT s.source_kind FROM sources s
          WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_kind = ANY ($2::text[])
            AND s.owner_id = current_setting('pgrecall.owner')
          UNION ALL
          SELECT s.source_kind FROM sources s
          WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_kind = ANY ($2::text[]) AND s.visibility = 'tenant'
            AND s.owner_id <> current_setting('pgrecall.owner')
          UNION ALL
          SELECT s.source_kind FROM sources s
          WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_kind = ANY ($2::text[]) AND s.visibility = 'persona'
            AND s.persona = current_setting('pgrecall.persona') AND s.owner_id <> current_setting('pgrecall.owner')) AS readable
    GROUP BY source_kind) AS s
LEFT JOIN (
    SELECT source_kind, count(*) FILTER (WHERE status = 'pending') AS pending,
           count(*) FILTER (WHERE status = 'running') AS running,
           count(*) FILTER (WHERE status = 'failed' AND next_run_at < 'infinity') AS failed,
           count(*) FILTER (WHERE status = 'failed' AND next_run_at = 'infinity') AS dismissed
    FROM index_jobs WHERE tenant_id = current_setting('pgrecall.tenant') AND space = $1::int4 GROUP BY source_kind) AS j
    USING (source_kind)
ORDER BY s.source_kind
