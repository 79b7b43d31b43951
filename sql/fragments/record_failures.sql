-- Records the failures of the CTE `failing`.
--
-- Used by: fail.sql and reap.sql.
-- A failure after a success starts a new count. Every failure ends a dismissal.
INSERT INTO failures AS f (source, space, tenant_id, source_kind, error_class, last_error, occurrences, first_failed_at, last_failed_at)
    SELECT source, space, tenant_id, source_kind, error_class, last_error, 1, clock_timestamp(), clock_timestamp() FROM failing
    ON CONFLICT (source, space) DO UPDATE SET
        error_class = excluded.error_class, last_error = excluded.last_error, last_failed_at = excluded.last_failed_at,
        occurrences = CASE WHEN f.resolved_at IS NULL THEN f.occurrences + 1 ELSE 1 END,
        first_failed_at = CASE WHEN f.resolved_at IS NULL THEN f.first_failed_at ELSE excluded.first_failed_at END,
        resolved_at = NULL, dismissed_at = NULL
