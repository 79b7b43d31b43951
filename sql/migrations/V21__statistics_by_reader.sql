-- How frequent a word is, counted for each audience: BM25 weighs a word by what its reader can read. A count over the whole tenant would tell a caller
-- how many of other people's private records hold a word. `word_stats` stays: it decides what is read first, and programs of the version before use it.

-- Audiences with thousands of sources only: what a caller with fewer reads is scored by the statistics of just that.
CREATE TABLE audience_corpora (
    tenant_id   text NOT NULL,
    source_kind text NOT NULL,
    audience    text NOT NULL,
    sources     bigint NOT NULL,
    words       bigint NOT NULL,
    PRIMARY KEY (tenant_id, source_kind, audience)
);
CREATE TABLE audience_words (
    tenant_id   text NOT NULL,
    source_kind text NOT NULL,
    term        text NOT NULL,
    audience    text NOT NULL,
    sources     bigint NOT NULL,
    PRIMARY KEY (tenant_id, source_kind, term, audience) INCLUDE (sources)
);

DO $$
DECLARE
    of_a_reader text;
BEGIN
    FOREACH of_a_reader IN ARRAY ARRAY['audience_corpora', 'audience_words'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', of_a_reader);
        EXECUTE format('CREATE POLICY every_tenant ON %I TO pgrecall_worker USING (true) WITH CHECK (true)', of_a_reader);
        EXECUTE format($sql$
            CREATE POLICY own_tenant_and_visible ON %I TO pgrecall_server
            USING (tenant_id = (SELECT current_setting('pgrecall.tenant'))
                   AND (audience = (SELECT 'owner ' || current_setting('pgrecall.owner'))
                        OR audience = ''
                        OR audience = (SELECT 'persona ' || current_setting('pgrecall.persona'))))$sql$, of_a_reader);
        EXECUTE format('GRANT SELECT ON %I TO pgrecall_server', of_a_reader);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO pgrecall_worker', of_a_reader);
    END LOOP;
END
$$;

-- A secret of this installation, with which a server encrypts and authenticates what it hands out and takes back: where the next page of a list begins.
-- Every server of the installation has the same, and no caller's role may read it.
ALTER TABLE installation ADD COLUMN secret bytea CHECK (octet_length(secret) = 32);
UPDATE installation
SET secret = sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
ALTER TABLE installation ALTER COLUMN secret SET NOT NULL;
GRANT SELECT (secret) ON installation TO pgrecall_worker;
