-- Returns whether the database has a schema of pgrecall, and which of its tables exist.
--
-- Called by: backup::restore and backup::private::restore, on the replaced, the empty and the
-- restored database.
-- A restored schema may be older: the tables tell whether it has API keys, forgotten records, and
-- the name of an installation (V32).
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'pgrecall') AS has_schema,
       to_regclass('pgrecall.api_keys') IS NOT NULL AS has_keys,
       to_regclass('pgrecall.api_keys') IS NOT NULL AND to_regclass('pgrecall.forgotten_sources') IS NOT NULL AS has_tables,
       to_regclass('pgrecall.installation') IS NOT NULL AS is_named
