-- Takes dead versions out of the table of open jobs and its indexes.
--
-- Called by: queue::vacuum, after so many jobs; autovacuum would come once a minute, when the claim's index has the entries of a hundred thousand
-- jobs that are gone. Another worker that is at it is not waited for, and nobody else is made to wait for a truncation.
VACUUM (SKIP_LOCKED, TRUNCATE false) index_jobs
