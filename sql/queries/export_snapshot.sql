-- Names the snapshot of this transaction, so that pg_dump reads the same state of the database.
--
-- Called by: backup::dump, in a transaction that is open until pg_dump has ended.
SELECT pg_export_snapshot() AS snapshot
