-- Lists every user table, by the name that pg_dump writes, and whether it has vectors.
--
-- Called by: backup::facts. Reads catalogs only.
SELECT format('%I.%I', n.nspname, c.relname) AS name,
       n.nspname = 'pgrecall' AND c.relname ~ '^vectors_[0-9]+$' AS has_vectors
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
ORDER BY 1
