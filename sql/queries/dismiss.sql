-- Takes failing sources off the triage, and leaves them as they are until they are written anew or reindexed: all of the tenant's, or
-- those that are named by id or key.
--
-- Called by: triage::dismiss, for the spaces that are in use. Index: failures_open. A job that runs is not touched; its next failure brings it
-- back into the triage. Nor is one whose text has not failed yet: it was written anew since then. A crash is a failure once it parks its job, and
-- until then may be another's doing (reap.sql).
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
