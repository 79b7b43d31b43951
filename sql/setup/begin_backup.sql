-- Begins a transaction that sees one state of the database, and is open for as long as pg_dump needs it.
--
-- Called by: backup::dump, and backup::restore to count.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL idle_in_transaction_session_timeout = 0
