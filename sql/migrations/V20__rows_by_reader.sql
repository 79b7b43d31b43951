-- Row-level security by reader on every table that holds a user's text or data derived from it, and functions that no login can divert.

-- Functions with the owner's rights. Postgres searches pg_temp first unless a search path names it, so that a login could put a temporary view in a
-- table's place and run its own code as the owner. pgvector's schema is left out too: others may be allowed to create functions there.
ALTER FUNCTION refresh_planner_statistics() SET search_path = pgrecall, pg_temp;
ALTER FUNCTION rotate_history(int) SET search_path = pgrecall, pg_temp;
ALTER FUNCTION drop_retired_spaces(interval) SET search_path = pgrecall, pg_temp;

-- Whether the caller may read a source, by the policy of `sources`. Its body is bound to the table when it is created and not looked up by name.
-- Policies ask it about rows that do not say who reads them: those that a program of the version before wrote, and vectors and passages from before
-- this migration until the reconciler has come by. It is called for no other row.
CREATE FUNCTION may_read(source bigint) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN EXISTS (SELECT FROM sources s WHERE s.id = may_read.source);

-- Who reads a row, next to the row itself: a recall reads thousands of labels and vectors, and a look at each one's source would double its time.
-- `audience` is what the function of that name returns for the source: empty for the whole tenant, `persona NAME` or `owner NAME`. The owner of a
-- record that a persona shares reads it without the persona as well, and is `persona_owner`. NULL in `audience`: ask may_read().
ALTER TABLE passages ADD COLUMN audience text, ADD COLUMN persona_owner text;
ALTER TABLE labels ADD COLUMN audience text, ADD COLUMN persona_owner text;

-- Labels are small and their index is needed with the new columns, so that they are counted without a look at the table. The owner, who migrates, has no
-- policy and sees no row while row-level security is forced.
ALTER TABLE sources NO FORCE ROW LEVEL SECURITY;
ALTER TABLE labels NO FORCE ROW LEVEL SECURITY;
ALTER TABLE labels DROP CONSTRAINT labels_pkey;
UPDATE labels l SET audience = audience(s.visibility, s.persona, s.owner_id),
                    persona_owner = CASE WHEN s.visibility = 'persona' THEN s.owner_id END
FROM sources s WHERE s.id = l.source;
ALTER TABLE labels ADD CONSTRAINT labels_pkey PRIMARY KEY (tenant_id, source_kind, label, source) INCLUDE (audience, persona_owner);
ALTER TABLE labels FORCE ROW LEVEL SECURITY;
ALTER TABLE sources FORCE ROW LEVEL SECURITY;

GRANT SELECT, UPDATE (audience, persona_owner) ON labels TO pgrecall_worker;
GRANT UPDATE (audience, persona_owner) ON passages TO pgrecall_worker;

-- The settings are read once a statement and not once a row.
DO $$
DECLARE
    of_a_reader text;
BEGIN
    FOR of_a_reader IN
        SELECT unnest(ARRAY['passages', 'labels'])
        UNION ALL
        SELECT 'vectors_' || id FROM embedding_spaces WHERE to_regclass('pgrecall.vectors_' || id) IS NOT NULL
    LOOP
        IF of_a_reader LIKE 'vectors%' THEN
            EXECUTE format('ALTER TABLE %I ADD COLUMN audience text, ADD COLUMN persona_owner text', of_a_reader);
            EXECUTE format('GRANT UPDATE (audience, persona_owner) ON %I TO pgrecall_server', of_a_reader);
        END IF;
        EXECUTE format('DROP POLICY own_tenant ON %I', of_a_reader);
        EXECUTE format($sql$
            CREATE POLICY own_tenant_and_visible ON %I TO pgrecall_server
            USING (tenant_id = (SELECT current_setting('pgrecall.tenant'))
                   AND (audience = (SELECT 'owner ' || current_setting('pgrecall.owner'))
                        OR audience = ''
                        OR audience = (SELECT 'persona ' || current_setting('pgrecall.persona'))
                        OR persona_owner = (SELECT current_setting('pgrecall.owner'))
                        OR (audience IS NULL AND may_read(source))))$sql$, of_a_reader);
    END LOOP;
END
$$;

-- Tables with few rows, or with rows that are looked up one by one, ask for the source. An embedder's message may quote the text that it refused. An open
-- job tells how much others write.
DROP POLICY own_tenant ON failures;
CREATE POLICY own_tenant_and_visible ON failures TO pgrecall_server
    USING (tenant_id = (SELECT current_setting('pgrecall.tenant')) AND EXISTS (SELECT FROM sources s WHERE s.id = source));
DROP POLICY own_tenant ON index_jobs;
CREATE POLICY own_tenant_and_visible ON index_jobs TO pgrecall_server
    USING (tenant_id = (SELECT current_setting('pgrecall.tenant')) AND EXISTS (SELECT FROM sources s WHERE s.id = source))
    WITH CHECK (tenant_id = (SELECT current_setting('pgrecall.tenant')));
-- A row of the history is about several jobs: it is shown to a caller who may read all of their sources.
DROP POLICY own_tenant ON index_job_history;
CREATE POLICY own_tenant_and_visible ON index_job_history TO pgrecall_server
    USING (tenant_id = (SELECT current_setting('pgrecall.tenant'))
           AND NOT EXISTS (SELECT FROM unnest(sources) AS held (source) WHERE NOT may_read(held.source)));
-- A path is its owner's. Another's file is shown where it holds a record that the caller reads: before that record is deleted because the caller's file no
-- longer holds it, somebody has to ask whether another file does.
DROP POLICY own_tenant ON file_sources;
CREATE POLICY own_tenant_and_visible ON file_sources TO pgrecall_server
    USING (tenant_id = current_setting('pgrecall.tenant') AND may_read(source));
DROP POLICY own_tenant ON ingested_files;
CREATE POLICY own_or_with_visible_sources ON ingested_files TO pgrecall_server
    USING (tenant_id = current_setting('pgrecall.tenant')
           AND (owner_id = current_setting('pgrecall.owner') OR EXISTS (SELECT FROM file_sources h WHERE h.file = id)))
    WITH CHECK (tenant_id = current_setting('pgrecall.tenant'));

-- No statement reads these as a caller: the name of a worker is its host and process, and the audit is about everybody's calls.
REVOKE SELECT ON workers, audit_log FROM pgrecall_server;

-- As in V7, with who reads a vector, and with each name bound to its schema.
CREATE OR REPLACE FUNCTION make_space(space_id int, wanted_dimension int) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pgrecall, pg_temp
AS $$
DECLARE
    vectors text := 'vectors_' || space_id;
    vector_schema text;
BEGIN
    -- Two workers may learn the dimension at once: the second finds the table made.
    PERFORM FROM pgrecall.embedding_spaces WHERE id = space_id AND dimension IS NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT n.nspname INTO STRICT vector_schema
    FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector';
    EXECUTE format($sql$
        CREATE TABLE pgrecall.%1$I (
            passage       bigint PRIMARY KEY REFERENCES pgrecall.passages ON DELETE CASCADE,
            source        bigint NOT NULL,
            tenant_id     text NOT NULL,
            source_kind   text NOT NULL,
            text_hash     bytea NOT NULL,
            embedding     %3$I.halfvec(%2$s) NOT NULL,
            audience      text,
            persona_owner text
        )$sql$, vectors, wanted_dimension, vector_schema);
    EXECUTE format('CREATE INDEX ON pgrecall.%I (source)', vectors);
    IF NOT EXISTS (SELECT FROM pgrecall.embedding_spaces WHERE state = 'active') THEN
        EXECUTE format('CREATE INDEX %I ON pgrecall.%I USING hnsw (embedding %I.halfvec_cosine_ops)', vectors || '_embedding_idx', vectors,
                       vector_schema);
    END IF;
    EXECUTE format('ALTER TABLE pgrecall.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', vectors);
    EXECUTE format($sql$
        CREATE POLICY own_tenant_and_visible ON pgrecall.%I TO pgrecall_server
        USING (tenant_id = (SELECT current_setting('pgrecall.tenant'))
               AND (audience = (SELECT 'owner ' || current_setting('pgrecall.owner'))
                    OR audience = ''
                    OR audience = (SELECT 'persona ' || current_setting('pgrecall.persona'))
                    OR persona_owner = (SELECT current_setting('pgrecall.owner'))
                    OR (audience IS NULL AND pgrecall.may_read(source))))$sql$, vectors);
    EXECUTE format('CREATE POLICY every_tenant ON pgrecall.%I TO pgrecall_worker USING (true) WITH CHECK (true)', vectors);
    -- A caller changes who reads a vector when it shares the record, and nothing else of it.
    EXECUTE format('GRANT SELECT, UPDATE (audience, persona_owner) ON pgrecall.%I TO pgrecall_server', vectors);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON pgrecall.%I TO pgrecall_worker', vectors);
    UPDATE pgrecall.embedding_spaces SET dimension = wanted_dimension WHERE id = space_id;
END
$$;
