-- Exports the snapshot of this transaction, so that pg_dump reads the same state.
--
-- Called by: backup::dump, in a transaction that stays open until pg_dump has ended.
SELECT pg_export_snapshot() AS snapshot
