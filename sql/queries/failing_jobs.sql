-- The tenant's jobs that failed last, and why: those that were given up first, then those that will be tried again.
--
-- Called by: status::status. Index: index_jobs_by_kind.
SELECT j.source_kind, s.source_id, s.key, j.status = 'failed' AS given_up, j.error_class, j.last_error, j.attempts
FROM index_jobs j
JOIN sources s ON s.id = j.source
WHERE j.tenant_id = current_setting('pgrecall.tenant') AND j.space = $1::int4 AND j.last_error IS NOT NULL
ORDER BY j.status = 'failed' DESC, j.failed_at DESC
LIMIT 5
