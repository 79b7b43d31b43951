-- Checks the order within each B-tree index of pgrecall.
--
-- Called by: integrity::check, if amcheck is installed.
-- bt_index_check takes only the lock of a reader (AccessShareLock), so writers continue.
SELECT bt_index_check(c.oid)
FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_index i ON i.indexrelid = c.oid
WHERE a.amname = 'btree' AND c.relkind = 'i' AND i.indisvalid AND c.relnamespace = 'pgrecall'::regnamespace
ORDER BY c.oid
