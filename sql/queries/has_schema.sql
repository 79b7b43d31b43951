-- Whether this database has a schema of pgrecall, and whether that has a table that names the installation (made by V19).
--
-- Called by: backup::restore.
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'pgrecall') AS has_schema,
       to_regclass('pgrecall.api_keys') IS NOT NULL AND to_regclass('pgrecall.forgotten_sources') IS NOT NULL AS has_tables,
       to_regclass('pgrecall.installation') IS NOT NULL AS is_named
