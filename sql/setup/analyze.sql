-- Makes the planner's statistics of a database that was just filled.
--
-- Called by: backup::restore.
ANALYZE
