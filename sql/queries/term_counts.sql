-- Counts the tenant's sources that hold each term, including those that the caller may not read.
--
-- Called by: recall::term_plan, for the exact pass. Indexes: word_stats_pkey, postings_pkey
-- (index-only).
-- The counts estimate the cost of reading a term, and no score depends on them. A worker has
-- counted frequent terms; this statement counts rare ones, which is cheap because they are rare.
SELECT wanted.term, sum(coalesce(counted.sources, live.sources))::int8 AS sources
FROM unnest($2::text[]) AS wanted (term)
CROSS JOIN unnest($1::text[]) AS kind
LEFT JOIN word_stats counted
    ON counted.tenant_id = current_setting('pgrecall.tenant') AND counted.source_kind = kind AND counted.term = wanted.term
CROSS JOIN LATERAL (
    SELECT count(*) AS sources FROM postings p
    WHERE counted.sources IS NULL AND p.tenant_id = current_setting('pgrecall.tenant') AND p.source_kind = kind
      AND p.term = wanted.term) AS live
GROUP BY wanted.term
