-- Lists the caller's failing sources and the reasons: parked ones first, then the latest.
--
-- Called by: triage::list, status::status. Index: failures_open, unless resolved and dismissed
-- failures are wanted too ($2).
SELECT source_kind, source_id, key, state, error_class, last_error, occurrences, attempts, first_failed_at, last_failed_at,
       last_success_at, parked_until, retry_at
FROM triage
WHERE tenant_id = current_setting('pgrecall.tenant') AND space = $1::int4
  AND ($2::bool OR (resolved_at IS NULL AND dismissed_at IS NULL))
ORDER BY state = 'parked' DESC, last_failed_at DESC
LIMIT $3::int8
