-- Returns the passages of each given source that are nearest to the query vector, nearest first.
--
-- Called by: recall::stages::hydrate, where several passages of a record are asked for.
-- Index: {vectors}_source_idx.
SELECT n.source, n.passage
FROM (
    SELECT v.source, v.passage, row_number() OVER (PARTITION BY v.source ORDER BY v.embedding <=> $2, v.passage) AS place
    FROM {vectors} v WHERE v.source = ANY ($1::int8[])) AS n
WHERE n.place <= $3::int4
ORDER BY n.source, n.place
