-- In how many of the first answers each of the query's terms stands.
--
-- Called by: recall::lexicon. Index: postings_pkey, looked up term by term and source by source: with both as arrays the planner reads more.
SELECT t.term, count(*)::int8 AS held
FROM unnest($2::text[]) AS t (term)
CROSS JOIN unnest($3::int8[]) AS s (source)
CROSS JOIN LATERAL (
    SELECT FROM postings p
    WHERE p.tenant_id = current_setting('pgrecall.tenant') AND p.source_kind = ANY ($1::text[]) AND p.term = t.term AND p.source = s.source
    OFFSET 0) AS p
GROUP BY t.term
