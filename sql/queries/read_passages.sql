-- Returns passages, each by its source and its ordinal.
--
-- Called by: recall::stages::hydrate, where several passages of a record are asked for.
-- Index: passages_source_ordinal_key. Row-level security alone restricts these rows to those that
-- the caller may read.
SELECT p.source, p.heading, p.text, {starts_at} AS starts_at
FROM unnest($1::int8[], $2::int4[]) WITH ORDINALITY AS wanted (source, ordinal, place)
JOIN sources s ON s.id = wanted.source
JOIN passages p ON p.source = wanted.source AND p.ordinal = wanted.ordinal
WHERE s.tenant_id = current_setting('pgrecall.tenant')
ORDER BY wanted.place
