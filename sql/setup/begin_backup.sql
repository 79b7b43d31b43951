-- Begins a transaction with one snapshot, which may be idle for as long as pg_dump runs.
--
-- Called by: backup::dump, and backup::restore to count.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL idle_in_transaction_session_timeout = 0
