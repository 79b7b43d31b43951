-- Counts the sources and words that the caller may read, for each kind.
--
-- Called by: recall::term_plan, for a large scope. Index: audience_corpora_pkey.
-- Returns the stored counts of the caller's large audiences or, before a worker has counted, those
-- of its sources.
SELECT coalesce(c.sources, live.sources)::int8 AS sources, coalesce(c.words, live.words)::int8 AS words
FROM unnest($1::text[]) AS kind
CROSS JOIN LATERAL (
    SELECT sum(a.sources) AS sources, sum(a.words) AS words FROM audience_corpora a
    WHERE a.tenant_id = current_setting('pgrecall.tenant') AND a.source_kind = kind) AS c
CROSS JOIN LATERAL (
    SELECT count(*) AS sources, coalesce(sum(s.words), 0) AS words FROM sources s
    WHERE c.sources IS NULL AND s.tenant_id = current_setting('pgrecall.tenant') AND s.source_kind = kind) AS live
