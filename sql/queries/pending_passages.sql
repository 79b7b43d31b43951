-- Returns the passages of claimed sources that lack a vector of their current text.
--
-- Called by: vectors::pending_passages. Indexes: passages_source_ordinal_key, {vectors}_pkey.
-- Sources that are forced ($2) return all their passages. LATERAL looks up vectors one by one: with
-- NOT EXISTS next to an OR, the planner may hash the whole table of vectors.
SELECT p.id, p.source, p.text_hash, s.title, p.heading, p.text
FROM passages p
JOIN sources s ON s.id = p.source
LEFT JOIN LATERAL (
    SELECT true AS is_there FROM {vectors} v WHERE v.passage = p.id AND v.text_hash = p.text_hash LIMIT 1) AS vector ON true
WHERE p.source = ANY ($1::int8[]) AND (p.source = ANY ($2::int8[]) OR vector.is_there IS NULL)
ORDER BY p.source, p.ordinal
