-- A page of sources, whole, in the order they were first written: of all kinds and collections, or of some.
--
-- Called by: read::export. Index: sources_pkey, also for some: an export is read from end to end, and another order would be another way.
-- What is not set is left out; a null within metadata is a value, and stays.
SELECT s.id, {exported}::text AS line
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.id > $1::int8
  AND (s.source_kind = ANY ($3::text[]) OR cardinality($3::text[]) = 0) AND (s.collection = $4::text OR $4::text IS NULL)
ORDER BY s.id
LIMIT $2::int8
