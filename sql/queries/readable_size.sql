-- Counts the sources that a caller may read, up to a bound ($4), and estimates the total.
--
-- Called by: recall::plan. Indexes: sources_by_owner, sources_by_visibility (index-only: they hold
-- the columns that row-level security reads).
-- A query without a filter may return at most this many. The total of all tenants is rounded up to
-- a power of two, since a caller can infer from its results how the plan was chosen (decision 26).
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
