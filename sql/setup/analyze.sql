-- Collects the planner's statistics of a database that was just filled.
--
-- Called by: backup::restore, backup::private::restore and backup::private::upgrade.
ANALYZE
