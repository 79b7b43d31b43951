-- Returns the caller's memories nearest to a vector.
--
-- Called by: review::similar. Index: {vectors}_embedding_idx.
SELECT s.source_id AS id, s.body AS text, (1 - near.distance)::float8 AS similarity, s.visibility <> 'private' AS shared
FROM (
    SELECT v.source, v.embedding <=> $15 AS distance FROM {vectors} v
    WHERE v.tenant_id = current_setting('pgrecall.tenant') AND v.source_kind = 'memory'
      AND EXISTS (SELECT FROM sources s WHERE s.id = v.source AND s.owner_id = $6::text AND s.status = 'active' AND {filter} OFFSET 0)
    ORDER BY v.embedding <=> $15
    LIMIT 5) AS near
JOIN sources s ON s.id = near.source
WHERE 1 - near.distance >= $16::float8
ORDER BY near.distance
