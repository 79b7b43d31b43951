-- Creates the extension, the roles and the schema, which the first migration needs.
--
-- Called by: db::migrate, by the login that migrates, under the migration lock.
-- Roles belong to the whole cluster, so two databases of one cluster may run this at once: the
-- second finds the role made. The three roles cannot log in. Every transaction of a program takes
-- one of them, so that row-level security holds for a superuser's connection too, which would
-- otherwise bypass it.
DO $$
DECLARE
    wanted  text;
    apart   text;
    -- Since Postgres 16, the creator of a role may not SET ROLE to it without a separate grant.
    take_on text := CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') THEN
        CREATE EXTENSION vector;
    END IF;
    FOREACH wanted IN ARRAY ARRAY['pgrecall_owner', 'pgrecall_server', 'pgrecall_worker'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
        -- A login that an administrator has prepared may set the role, and may not grant it.
        IF NOT pg_has_role(wanted, take_on) THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
        END IF;
    END LOOP;
    -- pgvector may be in a schema that only some logins may use. The caller reports a grant that this login may not make.
    SELECT n.nspname INTO apart
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'vector'
      AND EXISTS (SELECT FROM pg_roles WHERE rolname IN ('pgrecall_owner', 'pgrecall_server', 'pgrecall_worker')
                                         AND NOT has_schema_privilege(oid, n.oid, 'USAGE'));
    IF FOUND THEN
        BEGIN
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO pgrecall_owner, pgrecall_server, pgrecall_worker', apart);
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;
        END;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'pgrecall') THEN
        CREATE SCHEMA pgrecall AUTHORIZATION pgrecall_owner;
    END IF;
    -- pgrecall uses no temporary table, and a login could shadow a real table with one. Functions
    -- with the owner's rights are safe because of their search path; this is a second protection,
    -- for a database that has no other tables and whose rights this login may grant.
    IF (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database())
       AND NOT EXISTS (
           SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pgrecall', 'information_schema') AND n.nspname !~ '^pg_'
             AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
    THEN
        EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    END IF;
END
$$;
