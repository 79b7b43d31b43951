-- Takes the migration lock: only one program migrates at a time.
--
-- Called by: db::migrate. Transaction-level, on a connection of its own, so that it holds behind a
-- pooler too.
SELECT pg_advisory_xact_lock(hashtext('pgrecall.migrate'), 0)
