-- Returns which of the query's terms the given sources hold, and in which passages.
--
-- Called by: recall::stages::hydrate. Index: postings_pkey.
SELECT p.source, p.term, p.ordinals
FROM postings p
WHERE p.tenant_id = current_setting('pgrecall.tenant') AND p.source_kind = ANY ($1::text[]) AND p.term = ANY ($3::text[])
  AND p.source = ANY ($2::int8[])
