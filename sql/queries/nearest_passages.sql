-- Returns the passages of each given source that are nearest to the query vector.
--
-- Called by: recall::stages::hydrate, which chooses the passages to show among them.
-- Index: {vectors}_source_idx.
SELECT n.source, p.ordinal, n.cosine
FROM (
    SELECT v.source, v.passage, 1 - (v.embedding <=> $2) AS cosine,
           row_number() OVER (PARTITION BY v.source ORDER BY v.embedding <=> $2, v.passage) AS place
    FROM {vectors} v WHERE v.source = ANY ($1::int8[])) AS n
JOIN passages p ON p.id = n.passage
WHERE n.place <= $3::int4
ORDER BY n.source, n.place
