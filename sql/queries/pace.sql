-- Returns the caller's passages embedded per second in the last two minutes, and those left.
--
-- Called by: status::status. Index: index_job_history_by_time.
-- Row-level security shows the jobs of records that the caller may read, and history rows only if
-- the caller may read all of their sources.
SELECT (SELECT sum(items) / greatest(extract(epoch FROM clock_timestamp() - min(started_at)), 1)
        FROM index_job_history
        WHERE tenant_id = current_setting('pgrecall.tenant') AND space = $1::int4
          AND finished_at > clock_timestamp() - interval '2 minutes')::float8 AS items_a_second,
       (SELECT sum(items_total - items_done) FROM index_jobs
        WHERE tenant_id = current_setting('pgrecall.tenant') AND space = $1::int4 AND status <> 'failed')::int8 AS items_left
