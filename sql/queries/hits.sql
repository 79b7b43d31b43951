-- Returns the fields of the given sources, as a recall shows them, and one passage of each.
--
-- Called by: recall::stages::hydrate. Indexes: sources_pkey, passages_source_ordinal_key.
-- Row-level security alone restricts these rows to those that the caller may read.
SELECT {hit},
       CASE WHEN s.source_kind = 'memory' THEN s.body ELSE p.text END AS text, p.heading, {starts_at} AS starts_at
FROM unnest($1::int8[], $2::int4[]) AS wanted (source, ordinal)
JOIN sources s ON s.id = wanted.source
LEFT JOIN passages p ON p.source = s.id AND p.ordinal = wanted.ordinal
WHERE s.tenant_id = current_setting('pgrecall.tenant')
