-- How many of the tenant's sources hold each term, whoever reads them: what it costs to read a term, and no part of an answer.
--
-- Called by: recall::term_plan, for the exact pass. Indexes: word_stats_pkey, postings_pkey (index-only). A frequent term was counted by a worker; a rare
-- one is counted here, which is cheap because it is rare.
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
