-- Returns pairs of the caller's memories that are near-duplicates.
--
-- Called by: review::duplicates. Indexes: sources_by_owner, {vectors}_source_idx,
-- {vectors}_embedding_idx.
-- Compares the $16 newest memories before $15, each with older ones. The similarity of two memories
-- with several passages is that of their nearest two. If the owner has at most $18 memories, each
-- distance is computed exactly: a scan of the shared HNSW index for five of them would pass over
-- thousands of other owners' rows, for each memory.
WITH mine AS MATERIALIZED (
    SELECT s.id, s.source_id FROM sources s
    WHERE {filter} AND s.owner_id = $6::text AND s.status = 'active' AND ($15::int8 IS NULL OR s.id < $15::int8)
    ORDER BY s.id DESC LIMIT $16::int8),
own AS MATERIALIZED (
    SELECT s.id FROM sources s WHERE {filter} AND s.owner_id = $6::text AND s.status = 'active' LIMIT $18::int8 + 1),
pairs AS (
    SELECT mine.id AS newer, near.source AS older, max(1 - near.distance)::float8 AS similarity
    FROM mine
    JOIN {vectors} v ON v.source = mine.id
    CROSS JOIN LATERAL (
        (SELECT n.source, n.embedding <=> v.embedding AS distance FROM own JOIN {vectors} n ON n.source = own.id
         WHERE (SELECT count(*) FROM own) <= $18::int8 AND own.id < mine.id
         ORDER BY n.embedding <=> v.embedding
         LIMIT 5)
        UNION ALL
        (SELECT n.source, n.embedding <=> v.embedding FROM {vectors} n
         WHERE (SELECT count(*) FROM own) > $18::int8 AND n.tenant_id = current_setting('pgrecall.tenant') AND n.source_kind = 'memory'
           AND n.source < mine.id AND EXISTS (SELECT FROM sources s WHERE s.id = n.source AND s.owner_id = $6::text AND s.status = 'active' AND {filter} OFFSET 0)
         ORDER BY n.embedding <=> v.embedding
         LIMIT 5)) AS near
    WHERE 1 - near.distance >= $17::float8
    GROUP BY 1, 2)
SELECT pairs.newer AS place, newer.source_id AS newer, older.source_id AS older, pairs.similarity
FROM pairs
JOIN sources newer ON newer.id = pairs.newer
JOIN sources older ON older.id = pairs.older
ORDER BY pairs.newer DESC, pairs.similarity DESC
