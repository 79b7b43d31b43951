-- How many jobs of records that the caller reads are open in a space: pending or running, and failed. Dismissed ones are neither.
--
-- Called by: status::open_jobs, again and again while someone waits. Reads the open jobs: no index is worth what it
-- costs each of their changes.
SELECT count(*) FILTER (WHERE status <> 'failed') AS open,
       count(*) FILTER (WHERE status = 'failed' AND next_run_at < 'infinity') AS failed
FROM index_jobs WHERE tenant_id = current_setting('pgrecall.tenant') AND space = $1::int4
