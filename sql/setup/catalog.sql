-- Returns a hash of everything that the migrations create, without their data.
--
-- Called by: db::migrate, before rewrite_history.sql, after qualify_names.sql has emptied the
-- search path.
-- The hash tells whether a database has the expected schema (decision 33). It leaves out the tables
-- of vectors and of the history, which are created later, and the owner's privileges, whose letters
-- differ between versions of Postgres.
WITH relations AS (
    SELECT c.relname::text AS name, c.* FROM pg_catalog.pg_class c
    WHERE c.relnamespace = 'pgrecall'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
      AND c.relname !~ '^(vectors_|index_job_history_|refinery_)'),
lines AS (
    SELECT format('%s %s row security %s %s %s', relkind, name, relrowsecurity, relforcerowsecurity, reloptions) AS line FROM relations
    UNION ALL
    SELECT format('%s column %s %s %s %s %s %s', r.name, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
                  pg_get_expr(d.adbin, d.adrelid))
    FROM relations r
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
    UNION ALL
    SELECT format('%s constraint %s %s', coalesce(r.name, t.typname), k.conname, pg_get_constraintdef(k.oid))
    FROM pg_catalog.pg_constraint k
    LEFT JOIN relations r ON r.oid = k.conrelid
    LEFT JOIN pg_catalog.pg_type t ON t.oid = k.contypid AND t.typnamespace = 'pgrecall'::regnamespace
    WHERE k.contype <> 'n' AND coalesce(r.oid, t.oid) IS NOT NULL
    UNION ALL
    SELECT pg_get_indexdef(i.indexrelid) FROM relations r JOIN pg_catalog.pg_index i ON i.indrelid = r.oid
    UNION ALL
    SELECT format('%s view %s', name, pg_get_viewdef(oid)) FROM relations WHERE relkind = 'v'
    UNION ALL
    SELECT pg_get_functiondef(oid) FROM pg_catalog.pg_proc WHERE pronamespace = 'pgrecall'::regnamespace
    UNION ALL
    SELECT format('%s policy %s %s %s %s %s', r.name, p.polname, p.polcmd, p.polroles::regrole[], pg_get_expr(p.polqual, r.oid),
                  pg_get_expr(p.polwithcheck, r.oid))
    FROM relations r JOIN pg_catalog.pg_policy p ON p.polrelid = r.oid
    UNION ALL
    SELECT format('%s grant %s %s', granted.name, granted.grantee, granted.privilege_type)
    FROM (
        SELECT r.name, x.grantee::regrole, x.privilege_type FROM relations r, aclexplode(r.relacl) x WHERE x.grantee <> r.relowner
        UNION ALL
        SELECT r.name || '.' || a.attname, x.grantee::regrole, x.privilege_type
        FROM relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid, aclexplode(a.attacl) x WHERE x.grantee <> r.relowner
        UNION ALL
        SELECT p.proname, CASE x.grantee WHEN 0 THEN NULL ELSE x.grantee::regrole END, x.privilege_type
        FROM pg_catalog.pg_proc p, aclexplode(p.proacl) x WHERE p.pronamespace = 'pgrecall'::regnamespace AND x.grantee <> p.proowner
    ) AS granted (name, grantee, privilege_type)
    -- A grant to a role that the migrations do not know, such as the
    -- role of a dashboard, is the operator's.
    WHERE grantee IS NULL OR grantee::text IN ('-', 'pgrecall_owner', 'pgrecall_server', 'pgrecall_worker'))
SELECT md5(string_agg(line, E'\n' ORDER BY line COLLATE "C")) AS hash, count(*) AS lines FROM lines
