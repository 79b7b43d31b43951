-- Counts a tenant's sources of every owner, of all or some kinds and collections.
--
-- Called by: read::count_all, in the worker's role, for an operator at the command line. Index:
-- sources_by_kind.
SELECT count(*) AS sources FROM sources s
WHERE s.tenant_id = $3::text AND (s.source_kind = ANY ($1::text[]) OR cardinality($1::text[]) = 0)
  AND (s.collection = $2::text OR $2::text IS NULL)
