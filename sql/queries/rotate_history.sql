-- Makes and drops the partitions of the history.
--
-- Called by: corpora::retain.
SELECT rotate_history($1::int4) AS dropped
