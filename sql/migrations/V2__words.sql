-- Words: BM25 on our own postings.
--
-- `ts_rank` knows neither how rare a word is nor how long a text is, and it is slower (docs/decisions/0003-bm25-on-postings.md).
-- Terms are made by the program, so that neither the database's locale nor its text-search configuration changes a result.

CREATE TABLE postings (
    tenant_id   text NOT NULL,
    source_kind text NOT NULL,
    term        text NOT NULL,
    source      bigint NOT NULL REFERENCES sources ON DELETE CASCADE,
    frequency   int NOT NULL CHECK (frequency > 0),
    length      int NOT NULL CHECK (length >= 0),
    -- The passages that hold the term; NULL where the source has one passage only.
    ordinals    int[],
    PRIMARY KEY (tenant_id, source_kind, term, source) INCLUDE (frequency, length)
);
CREATE INDEX postings_by_source ON postings (source);

-- Labels are what filters ask for: tags, pairs of metadata, URNs, the collection. Under forced row-level security Postgres may use
-- only leakproof operators as index conditions, and `=` on text is one where `@>` and `&&` are not.
CREATE TABLE labels (
    tenant_id   text NOT NULL,
    source_kind text NOT NULL,
    label       text NOT NULL,
    source      bigint NOT NULL REFERENCES sources ON DELETE CASCADE,
    PRIMARY KEY (tenant_id, source_kind, label, source)
);
CREATE INDEX labels_by_source ON labels (source);

-- How many sources hold a frequent term, counted now and then by a worker. Rare terms are counted when they are asked for, which
-- costs little just because they are rare: no write pays for statistics, and none can drift (docs/decisions/0003).
CREATE TABLE word_stats (
    tenant_id   text NOT NULL,
    source_kind text NOT NULL,
    term        text NOT NULL,
    sources     bigint NOT NULL,
    PRIMARY KEY (tenant_id, source_kind, term) INCLUDE (sources)
);
CREATE TABLE corpus_stats (
    tenant_id   text NOT NULL,
    source_kind text NOT NULL,
    sources     bigint NOT NULL,
    words       bigint NOT NULL,
    counted_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, source_kind)
);

-- Tells the planner how the tables have grown. Autovacuum does so too, a minute later: until then a recall over what was just ingested
-- would be planned as if the tables were empty, and take ten times as long. Runs as the owner, who alone may.
CREATE FUNCTION refresh_planner_statistics() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    grown text;
BEGIN
    FOR grown IN
        SELECT c.relname FROM pg_class c
        WHERE c.relnamespace = 'pgrecall'::regnamespace AND c.relkind = 'r'
          AND (c.relname IN ('sources', 'passages', 'postings', 'labels') OR c.relname ~ '^vectors_\d+$')
    LOOP
        EXECUTE format('ANALYZE %I', grown);
    END LOOP;
END
$$;
