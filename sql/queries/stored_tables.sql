-- Every table of this database, those of Postgres and those that hold long values included.
--
-- Called by: integrity::check, which reads each: a page that Postgres reads is compared with its checksum.
SELECT format('%I.%I', n.nspname, c.relname) AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 't', 'm') AND c.relpersistence <> 't'
ORDER BY pg_relation_size(c.oid)
