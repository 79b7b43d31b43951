-- Returns whether a job of a record that the caller may read is open, or parked.
--
-- Called by: coverage::is_incomplete, in the path of a recall. Reads the table of open jobs, which is
-- empty while nothing waits.
-- A dismissed job does not count: a person said that it may stay as it is.
SELECT EXISTS (SELECT FROM index_jobs
               WHERE tenant_id = current_setting('pgrecall.tenant') AND space = $1::int4
                 AND (status <> 'failed' OR next_run_at < 'infinity')) AS is_incomplete
