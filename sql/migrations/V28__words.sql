-- Words: BM25 on postings of our own, and the labels that filters ask for.
--
-- `ts_rank` knows neither how rare a term is nor how long a text is, and it is slower (docs/decisions/0003-bm25-on-postings.md).
-- The program makes the terms, so that neither the database's locale nor its text-search configuration changes a result.

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

-- Labels: tags, pairs of metadata, URNs, the collection, the category. Under forced row-level security Postgres may use only leakproof operators as
-- index conditions, and `=` on text is one where `@>` and `&&` are not. The index holds the readers, so that labels are counted without the table.
CREATE TABLE labels (
    tenant_id     text NOT NULL,
    source_kind   text NOT NULL,
    label         text NOT NULL,
    source        bigint NOT NULL REFERENCES sources ON DELETE CASCADE,
    audience      text,
    persona_owner text,
    PRIMARY KEY (tenant_id, source_kind, label, source) INCLUDE (audience, persona_owner)
);
CREATE INDEX labels_by_source ON labels (source);

-- How many sources hold a frequent term, counted by a worker from time to time. Rare terms are counted when a query has them, which is cheap because
-- they are rare: no write pays for statistics, and none can drift.
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

-- The same for each audience of thousands of sources: BM25 weighs a term by what its reader can read. A count over the whole tenant would tell a caller
-- how many of other people's private records hold a term. A caller who reads fewer is scored by the statistics of just that.
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

-- Tells the planner how the tables have grown. Autovacuum does so too, a minute later: until then a recall over what was just ingested
-- would be planned as if the tables were empty, and take ten times as long. Runs as the owner, who alone may.
CREATE FUNCTION refresh_planner_statistics() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pgrecall, pg_temp
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
