-- Counts the failed jobs in a space, for records that the caller may read.
--
-- Called by: status::next_model. Dismissed jobs do not count. Reads the whole table of open jobs:
-- an index would cost more at each change of a job than it saves here.
SELECT count(*) AS failed
FROM index_jobs
WHERE tenant_id = current_setting('pgrecall.tenant') AND space = $1::int4 AND status = 'failed' AND next_run_at < 'infinity'
