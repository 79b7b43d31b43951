-- Embedding spaces: one model's vectors, each space in a table of its own.
--
-- A space is known before its dimension is: the row is made when a model is configured, so that jobs can wait for it while its
-- embedder is away, and the table follows when the first vector tells the dimension. A change of the model fills a second space next to the active
-- one, indexes it when it is complete, and switches; the old one is kept for a while, so that the switch can be taken back, and then dropped.

CREATE TABLE embedding_spaces (
    id              int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider        text NOT NULL,
    url             text NOT NULL,
    model           text NOT NULL,
    query_prefix    text NOT NULL,
    document_prefix text NOT NULL,
    dimension       int CHECK (dimension BETWEEN 1 AND 4000),
    state           text NOT NULL CHECK (state IN ('building', 'ready', 'active', 'retired')),
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    activated_at    timestamptz,
    -- How far the reconciler has come in its round through the passages. One round for all workers together.
    reconciled_to   bigint NOT NULL DEFAULT 0,
    retired_at      timestamptz,
    -- The length that the model was asked for, which is part of what it makes: one name at 512 and at 1,536 numbers has two spaces. 0 is the model's
    -- own; -1 is not known, until a worker comes whose configuration fits.
    asked_dimension int NOT NULL DEFAULT 0 CHECK (asked_dimension BETWEEN -1 AND 4000),
    -- When a worker last looked whether the space lacks something. A space that is being built, and that nobody has looked at for long while another is
    -- active, is left over from a change that was taken back.
    tended_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT active_knows_its_dimension CHECK (state NOT IN ('ready', 'active') OR dimension IS NOT NULL),
    CONSTRAINT retired_says_since_when CHECK ((state = 'retired') = (retired_at IS NOT NULL))
);
-- The same model behind another address gives the same vectors: the address is not part of a space's identity.
CREATE UNIQUE INDEX embedding_spaces_by_model ON embedding_spaces (provider, model, asked_dimension, query_prefix, document_prefix)
    WHERE state <> 'retired';
CREATE UNIQUE INDEX one_space_is_active ON embedding_spaces ((true)) WHERE state = 'active';

-- Makes a space's table. Runs as the owner, since the programs' roles make no tables, and binds each name to its schema: a login could put an object of
-- its own in the way of an unqualified one. Only the first space has its HNSW index from the start, because it is active from the start; one that is
-- filled next to another takes its rows faster without, and gets it at the end.
CREATE FUNCTION make_space(space_id int, wanted_dimension int) RETURNS void
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

-- Drops the spaces that were retired longer ago than `kept`, with their tables. Returns how many. Runs as the owner. A drop needs a lock
-- that waits for every reader of the passages, and every other caller waits behind it: it gives up soon, and the next sweep tries again.
CREATE FUNCTION drop_retired_spaces(kept interval) RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pgrecall, pg_temp SET lock_timeout = '500ms'
AS $$
DECLARE
    retired int;
    dropped int := 0;
BEGIN
    FOR retired IN
        SELECT id FROM embedding_spaces WHERE state = 'retired' AND retired_at < clock_timestamp() - kept FOR UPDATE SKIP LOCKED
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE IF EXISTS %I', 'vectors_' || retired);
            DELETE FROM embedding_spaces WHERE id = retired;
            dropped := dropped + 1;
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
    RETURN dropped;
END
$$;
