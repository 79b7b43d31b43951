-- Vacuums the table of open jobs and its indexes.
--
-- Called by: queue::Vacuum, after many ended jobs.
-- Autovacuum runs once a minute, when the claim's index already has the entries of a hundred
-- thousand ended jobs. SKIP_LOCKED does not wait for the vacuum of another worker; TRUNCATE false
-- takes no lock that others would wait for.
VACUUM (SKIP_LOCKED, TRUNCATE false) index_jobs
