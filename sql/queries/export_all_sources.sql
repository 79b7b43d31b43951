-- Returns a page of a tenant's sources of every owner, each with its owner, oldest first.
--
-- Called by: read::export_all, in the worker's role, which sees every tenant. Index: sources_pkey,
-- as for export_sources.sql.
SELECT s.id, ({exported} || jsonb_build_object('owner', s.owner_id))::text AS line
FROM sources s
WHERE s.tenant_id = $5::text AND s.id > $1::int8
  AND (s.source_kind = ANY ($3::text[]) OR cardinality($3::text[]) = 0) AND (s.collection = $4::text OR $4::text IS NULL)
ORDER BY s.id
LIMIT $2::int8
