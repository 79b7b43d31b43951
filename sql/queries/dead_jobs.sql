-- Returns how many dead rows the last vacuum left in the table of open jobs.
--
-- Called by: queue::Vacuum, after vacuum_jobs.sql has reported this number to the statistics.
SELECT pg_stat_get_dead_tuples('index_jobs'::regclass) AS dead
