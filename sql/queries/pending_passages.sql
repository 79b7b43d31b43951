-- The passages of claimed sources that have no vector for what they say now.
--
-- Called by: store::pending_passages. Indexes: passages_source_ordinal_key, {vectors}_pkey.
SELECT p.id, p.source, p.text_hash, s.title, p.heading, p.text
FROM passages p
JOIN sources s ON s.id = p.source
WHERE p.source = ANY ($1::int8[])
  AND NOT EXISTS (SELECT FROM {vectors} v WHERE v.passage = p.id AND v.text_hash = p.text_hash)
ORDER BY p.source, p.ordinal
