-- Reads the versions, privileges and state of a database, before anything changes it.
--
-- Called by: db::migrate::migrate and db::migrate::probe. Needs no privilege.
SELECT current_setting('server_version_num')::int8 AS server_version,
       (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS vector_installed,
       (SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector')
           AS vector_schema,
       (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS vector_available,
       to_regclass('pgrecall.refinery_schema_history') IS NOT NULL AS migrated,
       (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) AS may_create_roles,
       (SELECT count(*) = 3 FROM pg_roles
        WHERE rolname IN ('pgrecall_owner', 'pgrecall_server', 'pgrecall_worker')
          AND pg_has_role(oid, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END))
           AS may_take_on_roles,
       NOT EXISTS (SELECT FROM pg_roles r, pg_extension e
                   WHERE r.rolname IN ('pgrecall_owner', 'pgrecall_server', 'pgrecall_worker') AND e.extname = 'vector'
                     AND NOT has_schema_privilege(r.oid, e.extnamespace, 'USAGE')) AS roles_may_use_vector,
       pg_is_in_recovery() AS in_recovery
