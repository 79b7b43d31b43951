-- Returns a page of whole sources, of all or some kinds and collections, oldest first.
--
-- Called by: read::export. Index: sources_pkey.
-- The index also serves a selection of kinds or a collection, because pages continue by id. Fields
-- without a value are left out; a null within metadata is a value and stays.
SELECT s.id, {exported}::text AS line
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.id > $1::int8
  AND (s.source_kind = ANY ($3::text[]) OR cardinality($3::text[]) = 0) AND (s.collection = $4::text OR $4::text IS NULL)
ORDER BY s.id
LIMIT $2::int8
