-- Moves finished jobs into the history, and claims the next ones in the same statement.
--
-- Called by: queue::settle. Indexes: index_jobs_unit, and index_jobs_ready for the claim.
-- If there are vectors to store, the statement runs in the transaction that stored the last of
-- them, after hold.sql; otherwise it is a transaction of its own. $1 to $7 are those of claim.sql,
-- with a limit of 0 if nothing is to be claimed. Fenced by the lease token ($10) and by the value of
-- `wanted` at the claim ($9).
-- A job that was requested again since its claim returns to the queue (`again`). It keeps `forced`,
-- since a reindex may have requested the next run. A job that is not counted was lost to another
-- worker. The jobs are locked in the order of their sources, as by every transaction that locks
-- several. The success resolves earlier failures of the sources. Returns at least one row.
WITH done AS MATERIALIZED (
    SELECT locked.ctid FROM (SELECT * FROM unnest($8::int8[], $9::int4[]) AS d (source, wanted) ORDER BY source) AS d
    CROSS JOIN LATERAL (
        SELECT j.ctid FROM index_jobs j
        WHERE j.source = d.source AND j.space = $1::int4 AND j.lease_token = $10::int8 AND j.status = 'running' AND j.wanted = d.wanted
        FOR UPDATE) AS locked),
finished AS (
    DELETE FROM index_jobs WHERE ctid = ANY (ARRAY(SELECT ctid FROM done)) RETURNING *),
again AS (
    -- If a writer changed the row while this UPDATE waited for it, the UPDATE sees the new row.
    UPDATE index_jobs SET status = 'pending', worker = NULL, lease_token = NULL, called_at = NULL, attempts = 0, crash_count = 0, parked = 0
    WHERE (SELECT count(*) FROM finished) < cardinality($8::int8[]) AND source = ANY ($8::int8[]) AND space = $1::int4
      AND lease_token = $10::int8 AND status = 'running' AND source <> ALL (ARRAY(SELECT source FROM finished))
    RETURNING source),
resolved AS (
    UPDATE failures f SET resolved_at = clock_timestamp(), last_success_at = clock_timestamp()
    FROM finished WHERE f.source = finished.source AND f.space = finished.space AND f.resolved_at IS NULL),
recorded AS (
    INSERT INTO index_job_history (tenant_id, source_kind, space, trigger_kind, sources, attempts, items, created_at, started_at)
    SELECT tenant_id, source_kind, space, trigger_kind, array_agg(source), sum(attempts + 1), sum(items_done), min(created_at), min(started_at)
    FROM finished GROUP BY tenant_id, source_kind, space, trigger_kind),
{claim}
SELECT ended.settled, claimed.*, CASE WHEN claimed.source IS NOT NULL THEN (SELECT clock FROM served) END AS clock
FROM (SELECT (SELECT count(*) FROM finished) + (SELECT count(*) FROM again) AS settled) AS ended LEFT JOIN claimed ON true
