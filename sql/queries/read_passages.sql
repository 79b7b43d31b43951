-- Returns passages of the given sources, each by its id or by its ordinal.
--
-- Called by: recall::stages::hydrate, where several passages of a record are asked for.
-- Indexes: passages_pkey, passages_source_ordinal_key. Row-level security alone restricts these
-- rows to those that the caller may read.
SELECT p.source, p.ordinal, p.heading, p.text, {starts_at} AS starts_at
FROM unnest($1::int8[], $2::int8[], $3::int4[]) WITH ORDINALITY AS wanted (source, passage, ordinal, place)
JOIN sources s ON s.id = wanted.source
-- The source is not a condition of its own: with it, every passage of the source would be read.
JOIN passages p ON p.id = wanted.passage OR (p.source = wanted.source AND p.ordinal = wanted.ordinal)
WHERE s.tenant_id = current_setting('pgrecall.tenant')
ORDER BY wanted.place
