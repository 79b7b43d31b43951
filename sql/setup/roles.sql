-- Creates the roles that own the tables of a backup.
--
-- Called by: backup::restore, before pg_restore. As in bootstrap.sql, the login may set the roles.
-- Roles belong to the cluster, and no dump of a database has them.
DO $$
DECLARE
    wanted  text;
    take_on text := CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['pgrecall_owner', 'pgrecall_server', 'pgrecall_worker'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
        IF NOT pg_has_role(wanted, take_on) THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
        END IF;
    END LOOP;
END
$$;
