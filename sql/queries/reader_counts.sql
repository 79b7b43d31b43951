-- Counts the sources that the caller may read and that hold each term, and the postings to scan.
--
-- Called by: recall::term_plan, for a large scope. Indexes: word_stats_pkey, audience_words_pkey,
-- postings_pkey (index-only), sources_pkey.
-- A worker has counted the frequent terms of the caller's large audiences. This statement counts
-- rare terms itself, source by source: no record that the caller may not read may change a number
-- on which its results depend (decision 26). The exception is a term that is frequent in the tenant
-- and has no stored count for the caller: it counts as half the bound for storing one ($3).
SELECT wanted.term, sum(coalesce(counted.sources, own.sources, live.sources))::int8 AS postings,
       sum(coalesce(own.sources, CASE WHEN counted.sources IS NULL THEN live.sources ELSE $3::int8 / 2 END))::int8 AS sources
FROM unnest($2::text[]) AS wanted (term)
CROSS JOIN unnest($1::text[]) AS kind
LEFT JOIN word_stats counted
    ON counted.tenant_id = current_setting('pgrecall.tenant') AND counted.source_kind = kind AND counted.term = wanted.term
CROSS JOIN LATERAL (
    SELECT sum(a.sources) AS sources FROM audience_words a
    WHERE a.tenant_id = current_setting('pgrecall.tenant') AND a.source_kind = kind AND a.term = wanted.term) AS own
CROSS JOIN LATERAL (
    SELECT count(*) AS sources FROM postings p
    WHERE counted.sources IS NULL AND own.sources IS NULL AND p.tenant_id = current_setting('pgrecall.tenant') AND p.source_kind = kind
      AND p.term = wanted.term AND EXISTS (SELECT FROM sources s WHERE s.id = p.source OFFSET 0)) AS live
GROUP BY wanted.term
