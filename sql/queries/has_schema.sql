-- Whether this database has a schema of pgrecall, and which tables that has: for API keys and to name the installation (V32).
--
-- Called by: backup::restore.
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'pgrecall') AS has_schema,
       to_regclass('pgrecall.api_keys') IS NOT NULL AS has_keys,
       to_regclass('pgrecall.api_keys') IS NOT NULL AND to_regclass('pgrecall.forgotten_sources') IS NOT NULL AS has_tables,
       to_regclass('pgrecall.installation') IS NOT NULL AS is_named
