-- Returns whether a space's HNSW index exists and is valid, and the number of its vectors.
--
-- Called by: spaces::index. The number estimates the memory of the graph.
-- A failed build leaves an index that exists and is not valid.
SELECT EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = to_regclass($1) AND i.indisvalid) AS is_valid,
       to_regclass($1) IS NOT NULL AS is_there,
       greatest(t.reltuples, 0)::float8 AS vectors
FROM pg_class t WHERE t.oid = to_regclass($2)
