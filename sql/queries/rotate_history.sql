-- Creates the next partitions of the job history, and drops those past the retention ($1, days).
--
-- Called by: corpora::retain. The function in V30 has the argument for its locks.
SELECT rotate_history($1::int4) AS dropped
