-- Lists every table of this database, with system tables and TOAST tables.
--
-- Called by: integrity::check, which reads each: Postgres compares a page that it reads with its
-- checksum.
SELECT format('%I.%I', n.nspname, c.relname) AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 't', 'm') AND c.relpersistence <> 't'
ORDER BY pg_relation_size(c.oid)
