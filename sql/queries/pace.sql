-- Returns the passages of the caller that were embedded per second since its work began.
--
-- Called by: coverage::read. Index: index_job_history_by_time.
-- The time begins with the oldest job that is ready or runs, at most two minutes ago: an idle
-- minute before the work would make the rate too low. A long document has one job, which ends late,
-- so the passages of running jobs count too. Row-level security shows the jobs of records that the
-- caller may read, and history rows only if the caller may read all of their sources.
WITH open AS MATERIALIZED (
    SELECT least(min(created_at), min(started_at) FILTER (WHERE status = 'running')) AS since,
           sum(items_done) FILTER (WHERE status = 'running') AS items
    FROM index_jobs
    WHERE tenant_id = current_setting('pgrecall.tenant') AND space = $1::int4 AND status <> 'failed' AND next_run_at IS NULL),
began AS MATERIALIZED (
    SELECT greatest(open.since, clock_timestamp() - interval '2 minutes') AS at, open.items FROM open),
ended AS MATERIALIZED (
    SELECT sum(h.items) AS items, min(h.started_at) AS since
    FROM index_job_history h CROSS JOIN began
    WHERE h.tenant_id = current_setting('pgrecall.tenant') AND h.space = $1::int4 AND h.finished_at > began.at
      AND h.finished_at > clock_timestamp() - interval '2 minutes')
SELECT ((coalesce(ended.items, 0) + coalesce(began.items, 0))
        / greatest(extract(epoch FROM clock_timestamp() - least(began.at, ended.since)), 1))::float8 AS items_a_second
FROM ended CROSS JOIN began
