-- Dismisses failing sources from the triage until they are written again or reindexed.
--
-- Called by: triage::dismiss, for the active and the target space. Index: failures_open.
-- Takes all failing sources of the tenant ($2), or those named by id or key ($3). A running job is
-- not changed; its next failure returns it to the triage. A job whose source was written again
-- since the failure is not changed either, because the new text has not failed yet. A crash counts
-- as a failure once it parks its job; until then another job may have caused it (reap.sql).
WITH dismissed AS (
    UPDATE failures f SET dismissed_at = clock_timestamp()
    FROM sources s
    WHERE s.id = f.source AND f.tenant_id = current_setting('pgrecall.tenant') AND f.space = ANY ($1::int4[])
      AND f.resolved_at IS NULL AND f.dismissed_at IS NULL
      AND ($2::bool OR s.source_id::text = ANY ($3::text[]) OR s.key = ANY ($3::text[]))
    RETURNING f.source, f.space),
left_alone AS (
    UPDATE index_jobs j SET status = 'failed', next_run_at = 'infinity'
    FROM dismissed d
    WHERE j.source = d.source AND j.space = d.space AND j.status <> 'running' AND j.attempts + j.parked > 0)
SELECT count(DISTINCT source) AS dismissed FROM dismissed
