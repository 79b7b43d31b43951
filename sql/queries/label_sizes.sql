-- Counts the sources with each label of a filter, up to a bound ($3), the rarest label first.
--
-- Called by: recall::plan, to start a scope at the most selective label. Index: labels_pkey.
-- Index-only: a millisecond up to the bound; a join with sources would take forty.
SELECT wanted.label, held.sources
FROM unnest($2::text[]) AS wanted (label)
CROSS JOIN LATERAL (
    SELECT count(*) AS sources
    FROM (SELECT FROM labels l
          WHERE l.tenant_id = current_setting('pgrecall.tenant') AND l.source_kind = ANY ($1::text[]) AND l.label = wanted.label
          LIMIT $3::int8) AS bounded) AS held
ORDER BY held.sources, wanted.label
