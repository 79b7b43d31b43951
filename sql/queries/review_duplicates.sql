-- Pairs of the caller's memories that say nearly the same: its newest ($6 to $7 of them), each with what is older and near it.
--
-- Called by: review::duplicates. Indexes: sources_by_owner, {vectors}_source_idx, {vectors}_embedding_idx. A memory of several passages is as near
-- as its nearest two.
WITH mine AS MATERIALIZED (
    SELECT s.id, s.source_id FROM sources s
    WHERE {filter} AND s.owner_id = ($5::text[])[2] AND ($6::int8 IS NULL OR s.id < $6::int8)
    ORDER BY s.id DESC LIMIT $7::int8),
pairs AS (
    SELECT mine.id AS newer, near.source AS older, max(1 - near.distance)::float8 AS similarity
    FROM mine
    JOIN {vectors} v ON v.source = mine.id
    CROSS JOIN LATERAL (
        SELECT n.source, n.embedding <=> v.embedding AS distance FROM {vectors} n
        WHERE n.tenant_id = current_setting('pgrecall.tenant') AND n.source_kind = 'memory'
          AND n.source < mine.id AND EXISTS (SELECT FROM sources s WHERE s.id = n.source AND s.owner_id = ($5::text[])[2] AND {filter} OFFSET 0)
        ORDER BY n.embedding <=> v.embedding
        LIMIT 5) AS near
    WHERE 1 - near.distance >= $8::float8
    GROUP BY 1, 2)
SELECT pairs.newer AS place, newer.source_id AS newer, older.source_id AS older, pairs.similarity
FROM pairs
JOIN sources newer ON newer.id = pairs.newer
JOIN sources older ON older.id = pairs.older
ORDER BY pairs.newer DESC, pairs.similarity DESC
