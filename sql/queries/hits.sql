-- What is shown of given sources: the record, and the passage that answers best.
--
-- Called by: recall::stages::hydrate. The passage is known from the vectors, or by its ordinal from the words. Row-level security and the
-- caller's scope hold here as everywhere.
SELECT {hit},
       CASE WHEN s.source_kind = 'memory' THEN s.body ELSE p.text END AS text, p.heading
FROM unnest($1::int8[], $2::int8[], $3::int4[]) AS wanted (source, passage, ordinal)
JOIN sources s ON s.id = wanted.source
LEFT JOIN LATERAL (
    SELECT p.text, p.heading FROM passages p
    WHERE p.source = s.id AND (p.id = wanted.passage OR (wanted.passage IS NULL AND p.ordinal = wanted.ordinal))
    LIMIT 1) AS p ON true
WHERE s.tenant_id = current_setting('pgrecall.tenant')
