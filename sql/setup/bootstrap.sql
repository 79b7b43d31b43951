-- Extension, roles and schema: what must exist before the first migration.
--
-- Called by: shared::db::migrate, once, by the login that migrates, under the migration lock. Roles belong to the whole cluster, so
-- two databases of one cluster may come here at once: the one that loses the race finds the role made.
-- None of the three roles can log in. Every transaction of a program begins by taking one of them on, so that row-level security
-- holds for a superuser's connection too, which it would otherwise pass by.
DO $$
DECLARE
    wanted  text;
    -- Since Postgres 16, making a role is not being allowed to take it on: that is granted by itself.
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
        -- A login that an administrator has prepared may take the role on, and may not grant it.
        IF NOT pg_has_role(wanted, take_on) THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'pgrecall') THEN
        CREATE SCHEMA pgrecall AUTHORIZATION pgrecall_owner;
    END IF;
END
$$;
