-- Sources and open jobs of a tenant ($2) by kind: everybody's, as the jobs and passages beside them are, and not only those that the caller may read.
--
-- Called by: status::status, as a worker. Index: sources_by_kind. A failed job that waits for ever was dismissed.
SELECT s.source_kind, s.sources, coalesce(j.pending, 0) AS pending, coalesce(j.running, 0) AS running,
       coalesce(j.failed, 0) AS failed, coalesce(j.dismissed, 0) AS dismissed
FROM (SELECT source_kind, count(*) AS sources FROM sources
      WHERE tenant_id = $2 GROUP BY source_kind) AS s
LEFT JOIN (
    SELECT source_kind, count(*) FILTER (WHERE status = 'pending') AS pending,
           count(*) FILTER (WHERE status = 'running') AS running,
           count(*) FILTER (WHERE status = 'failed' AND next_run_at < 'infinity') AS failed,
           count(*) FILTER (WHERE status = 'failed' AND next_run_at = 'infinity') AS dismissed
    FROM index_jobs WHERE tenant_id = $2 AND space = $1::int4 GROUP BY source_kind) AS j
    USING (source_kind)
ORDER BY s.source_kind
