-- One program migrates at a time. Transaction-level, on a connection of its own, so that it holds behind a pooler too.
--
-- Called by: db::migrate.
SELECT pg_advisory_xact_lock(hashtext('pgrecall.migrate'), 0)
