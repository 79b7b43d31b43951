-- How many of the tenant's jobs are open in a space: pending or running, and failed.
--
-- Called by: status::open_jobs, again and again while someone waits. Index: index_jobs_by_kind.
SELECT count(*) FILTER (WHERE status <> 'failed') AS open, count(*) FILTER (WHERE status = 'failed') AS failed
FROM index_jobs WHERE tenant_id = current_setting('pgrecall.tenant') AND space = $1::int4
