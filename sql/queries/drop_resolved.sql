-- Forgets failures that were resolved or dismissed longer ago than the retention. Open ones stay.
--
-- Called by: corpora::retain. A dismissed unit whose job waits for a person is still open in index_jobs, and stays failed there.
DELETE FROM failures
WHERE least(resolved_at, dismissed_at) < clock_timestamp() - $1::int4 * interval '1 day'
