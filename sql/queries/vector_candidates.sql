-- Returns the sources of the passages nearest to the query vector, through HNSW.
--
-- Called by: recall::stages::retrieve. Index: {vectors}_embedding_idx.
-- The iterative scan (begin.sql) continues past rows that the filter removes, until enough rows
-- pass. candidate_vectors.sql computes their cosines, together with those of the candidates by
-- BM25.
SELECT v.source
FROM {vectors} v
WHERE v.tenant_id = current_setting('pgrecall.tenant') AND v.source_kind = ANY ($1::text[])
  AND EXISTS (SELECT FROM sources s WHERE s.id = v.source AND {filter} OFFSET 0)
ORDER BY v.embedding <=> $15
LIMIT $16::int8
