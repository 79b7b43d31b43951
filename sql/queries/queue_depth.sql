-- Counts the open jobs of all tenants by kind and state, with the age of the oldest ready job.
--
-- Called by: metrics::render. Reads the table of open jobs, once per scrape.
SELECT source_kind,
       CASE
           WHEN status = 'running' THEN 'running'
           WHEN status = 'failed' THEN CASE WHEN next_run_at = 'infinity' THEN 'dismissed' ELSE 'parked' END
           WHEN next_run_at IS NULL THEN 'ready'
           ELSE 'delayed'
       END AS state,
       count(*) AS jobs,
       extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE status = 'pending' AND next_run_at IS NULL))::float8
           AS oldest_seconds
FROM index_jobs
GROUP BY 1, 2
ORDER BY 1, 2
