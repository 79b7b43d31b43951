-- Whether this database has a schema of pgrecall, and which tables that has: for API keys (V10), and to name the installation (V19).
--
-- Called by: backup::restore.
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'pgrecall') AS has_schema,
       to_regclass('pgrecall.api_keys') IS NOT NULL AS has_keys,
       to_regclass('pgrecall.api_keys') IS NOT NULL AND to_regclass('pgrecall.forgotten_sources') IS NOT NULL AS has_tables,
       to_regclass('pgrecall.installation') IS NOT NULL AS is_named
