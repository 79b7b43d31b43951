-- Counts the open and the failed jobs in a space, for records that the caller may read.
--
-- Called by: status::open_jobs, repeatedly while a command waits, and status::next_model.
-- Open means pending or running; dismissed jobs count as neither. Reads the whole table of open
-- jobs: an index would cost more at each change of a job than it saves here.
SELECT count(*) FILTER (WHERE status <> 'failed') AS open,
       count(*) FILTER (WHERE status = 'failed' AND next_run_at < 'infinity') AS failed
FROM index_jobs WHERE tenant_id = current_setting('pgrecall.tenant') AND space = $1::int4
