-- A change of the model: the new space is filled beside the old one, indexed when it is whole, and switched to; the old one is kept
-- for a while, so that the switch can be taken back, and then dropped.

ALTER TABLE embedding_spaces ADD COLUMN retired_at timestamptz;
UPDATE embedding_spaces SET retired_at = clock_timestamp() WHERE state = 'retired';
ALTER TABLE embedding_spaces ADD CONSTRAINT retired_says_since_when CHECK ((state = 'retired') = (retired_at IS NOT NULL));

-- Makes a space's table. Runs as the owner: the programs' roles make no tables. Only the first space has its HNSW index from the start,
-- because it answers from the start; one that is filled beside another takes its rows faster without, and gets it at the end.
DROP FUNCTION make_space(int, int);
CREATE FUNCTION make_space(space_id int, wanted_dimension int) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    vectors text := 'vectors_' || space_id;
BEGIN
    -- Two workers may learn the dimension at once: the second finds the table made.
    PERFORM FROM embedding_spaces WHERE id = space_id AND dimension IS NULL FOR NO KEY UPDATE;
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
    IF NOT EXISTS (SELECT FROM embedding_spaces WHERE state = 'active') THEN
        EXECUTE format('CREATE INDEX %I ON %I USING hnsw (embedding halfvec_cosine_ops)', vectors || '_embedding_idx', vectors);
    END IF;
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', vectors);
    EXECUTE format($sql$
        CREATE POLICY own_tenant ON %I TO pgrecall_server USING (tenant_id = current_setting('pgrecall.tenant'))$sql$, vectors);
    EXECUTE format('CREATE POLICY every_tenant ON %I TO pgrecall_worker USING (true) WITH CHECK (true)', vectors);
    EXECUTE format('GRANT SELECT ON %I TO pgrecall_server', vectors);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO pgrecall_worker', vectors);
    UPDATE embedding_spaces SET dimension = wanted_dimension WHERE id = space_id;
END
$$;

-- Drops the spaces that were retired longer ago than `kept`, with their tables. Returns how many. Runs as the owner. A drop needs a lock
-- that waits for every reader of the passages, and everyone else waits behind it: it gives up soon, and the next sweep tries again.
CREATE FUNCTION drop_retired_spaces(kept interval) RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '500ms'
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

REVOKE EXECUTE ON FUNCTION make_space(int, int), drop_retired_spaces(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_space(int, int) TO pgrecall_server, pgrecall_worker;
GRANT EXECUTE ON FUNCTION drop_retired_spaces(interval) TO pgrecall_worker;
