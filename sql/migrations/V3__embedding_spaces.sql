-- Embedding spaces: one model's vectors, each space in a table of its own.
--
-- A space is known before its dimension is: the row is made when a model is configured, so that jobs can wait for it while its
-- embedder is away, and the table follows when the first vector tells the dimension.

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
    CONSTRAINT active_knows_its_dimension CHECK (state NOT IN ('ready', 'active') OR dimension IS NOT NULL)
);
-- The same model behind another address gives the same vectors: the address is not part of a space's identity.
CREATE UNIQUE INDEX embedding_spaces_by_model ON embedding_spaces (provider, model, query_prefix, document_prefix)
    WHERE state <> 'retired';
CREATE UNIQUE INDEX one_space_is_active ON embedding_spaces ((true)) WHERE state = 'active';

-- Makes a space's table. Runs as the owner: the programs' roles make no tables.
CREATE FUNCTION make_space(space_id int, wanted_dimension int) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    vectors text := 'vectors_' || space_id;
BEGIN
    -- Two workers may learn the dimension at once: the second finds the table made.
    PERFORM FROM embedding_spaces WHERE id = space_id AND dimension IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    EXECUTE format($sql$
        CREATE TABLE %1$I (
            passage     bigint PRIMARY KEY REFERENCES passages ON DELETE CASCADE,
            source      bigint NOT NULL,
            tenant_id   text NOT NULL,
            source_kind text NOT NULL,
            text_hash   bytea NOT NULL,
            embedding   halfvec(%2$s) NOT NULL
        )$sql$, vectors, wanted_dimension);
    EXECUTE format('CREATE INDEX ON %I (source)', vectors);
    EXECUTE format('CREATE INDEX ON %I USING hnsw (embedding halfvec_cosine_ops)', vectors);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', vectors);
    EXECUTE format($sql$
        CREATE POLICY own_tenant ON %I TO pgrecall_server USING (tenant_id = current_setting('pgrecall.tenant'))$sql$, vectors);
    EXECUTE format('CREATE POLICY every_tenant ON %I TO pgrecall_worker USING (true) WITH CHECK (true)', vectors);
    EXECUTE format('GRANT SELECT ON %I TO pgrecall_server', vectors);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO pgrecall_worker', vectors);
    UPDATE embedding_spaces SET dimension = wanted_dimension WHERE id = space_id;
END
$$;
