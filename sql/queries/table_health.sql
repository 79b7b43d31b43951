-- Returns the number of dead rows of our tables, from the statistics.
--
-- Called by: metrics::render.
SELECT relname::text AS table, n_dead_tup AS dead
FROM pg_stat_user_tables
WHERE schemaname = 'pgrecall' AND (relname IN ('index_jobs', 'passages', 'sources', 'workers') OR relname ~ '^vectors_\d+$')
ORDER BY relname
