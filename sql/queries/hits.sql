-- Returns the fields and the best passage of the given sources, as a recall shows them.
--
-- Called by: recall::stages::hydrate. Indexes: sources_pkey, passages_source_ordinal_key.
-- The vectors name the passage by its id, or the postings by its ordinal. Row-level security
-- alone restricts these rows to those that the caller may read.
SELECT {hit},
       CASE WHEN s.source_kind = 'memory' THEN s.body ELSE p.text END AS text, p.heading, {starts_at} AS starts_at
FROM unnest($1::int8[], $2::int8[], $3::int4[]) AS wanted (source, passage, ordinal)
JOIN sources s ON s.id = wanted.source
LEFT JOIN LATERAL (
    SELECT p.text, p.heading, p.starts_at FROM passages p
    WHERE p.source = s.id AND (p.id = wanted.passage OR (wanted.passage IS NULL AND p.ordinal = wanted.ordinal))
    LIMIT 1) AS p ON true
WHERE s.tenant_id = current_setting('pgrecall.tenant')
