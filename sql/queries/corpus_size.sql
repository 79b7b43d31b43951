-- How many sources, and how many words, the kinds hold for this tenant.
--
-- Called by: recall::statistics. The counted figures, or, until a worker has counted, an index-only scan of sources_by_kind.
SELECT coalesce(c.sources, live.sources)::int8 AS sources, coalesce(c.words, live.words)::int8 AS words
FROM unnest($1::text[]) AS kind
LEFT JOIN corpus_stats c ON c.tenant_id = current_setting('pgrecall.tenant') AND c.source_kind = kind
CROSS JOIN LATERAL (
    SELECT count(*) AS sources, coalesce(sum(s.words), 0) AS words FROM sources s
    WHERE c.sources IS NULL AND s.tenant_id = current_setting('pgrecall.tenant') AND s.source_kind = kind) AS live
