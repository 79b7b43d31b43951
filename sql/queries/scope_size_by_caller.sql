-- How many sources a caller can see, counted up to a bound: at least as many as a query without a filter may answer from. And about how many there are in
-- all, whoever sees them: by their magnitude only, the next power of two, since what is chosen by it can be told from the answers.
--
-- Called by: recall::plan. Indexes: sources_by_owner, sources_by_visibility (index-only: they hold what row-level security asks).
SELECT count(*) AS sources, (SELECT 2 ^ ceil(log(2, greatest(reltuples, 1)::numeric))::float8 FROM pg_class WHERE oid = 'sources'::regclass) AS in_all
FROM ((SELECT FROM sources s
       WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_kind = ANY ($1::text[]) AND s.owner_id = $2
       LIMIT $4::int8)
      UNION ALL
      (SELECT FROM sources s
       WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_kind = ANY ($1::text[]) AND s.visibility = 'tenant'
         AND s.owner_id <> $2
       LIMIT $4::int8)
      UNION ALL
      (SELECT FROM sources s
       WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_kind = ANY ($1::text[]) AND s.visibility = 'persona'
         AND s.persona = $3 AND s.owner_id <> $2
       LIMIT $4::int8)) AS bounded
