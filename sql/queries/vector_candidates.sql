-- The sources of the nearest passages by cosine, through HNSW, going on until enough of them pass the filters.
--
-- Called by: recall::stages::retrieve. Index: {vectors}_embedding_idx. Iterative scan (begin.sql) goes on past rows that are filtered away. Their
-- scores are measured by candidate_vectors.sql, with those of the words' candidates.
SELECT v.source
FROM {vectors} v
WHERE v.tenant_id = current_setting('pgrecall.tenant') AND v.source_kind = ANY ($1::text[])
  AND EXISTS (SELECT FROM sources s WHERE s.id = v.source AND {filter} OFFSET 0)
ORDER BY v.embedding <=> $15
LIMIT $16::int8
