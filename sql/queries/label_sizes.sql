-- How many sources have each of a filter's labels, counted up to a bound ($3), the rarest first: a query may answer from no more than that.
--
-- Called by: recall::plan. Index: labels_pkey (index-only, a millisecond for the bound; with the sources themselves it would be forty).
SELECT wanted.label, held.sources
FROM unnest($2::text[]) AS wanted (label)
CROSS JOIN LATERAL (
    SELECT count(*) AS sources
    FROM (SELECT FROM labels l
          WHERE l.tenant_id = current_setting('pgrecall.tenant') AND l.source_kind = ANY ($1::text[]) AND l.label = wanted.label
          LIMIT $3::int8) AS bounded) AS held
ORDER BY held.sources, wanted.label
