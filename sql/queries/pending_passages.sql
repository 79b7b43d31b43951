-- The passages of claimed sources that have no vector for what they say now, and every passage of those that are forced.
--
-- Called by: vectors::pending_passages. Indexes: passages_source_ordinal_key, {vectors}_pkey. Looked up one by one:
-- as NOT EXISTS beside an OR it may become a hash of the whole table of vectors.
SELECT p.id, p.source, p.text_hash, s.title, p.heading, p.text
FROM passages p
JOIN sources s ON s.id = p.source
LEFT JOIN LATERAL (
    SELECT true AS is_there FROM {vectors} v WHERE v.passage = p.id AND v.text_hash = p.text_hash LIMIT 1) AS vector ON true
WHERE p.source = ANY ($1::int8[]) AND (p.source = ANY ($2::int8[]) OR vector.is_there IS NULL)
ORDER BY p.source, p.ordinal
