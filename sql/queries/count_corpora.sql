-- Counts every corpus, and returns those that are new or have changed by more than a tenth.
--
-- Called by: corpora::recount. Index-only on sources_by_kind.
WITH counted AS (
    SELECT tenant_id, source_kind, count(*) AS sources, coalesce(sum(words), 0)::int8 AS words
    FROM sources GROUP BY tenant_id, source_kind)
SELECT c.tenant_id, c.source_kind, c.sources, c.words
FROM counted c LEFT JOIN corpus_stats s USING (tenant_id, source_kind)
WHERE s.sources IS NULL OR abs(c.sources - s.sources) > s.sources / 10
