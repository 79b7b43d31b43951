-- A space's HNSW index: whether it is there and whole, and about how much memory its graph needs.
--
-- Called by: spaces::index. One that a broken build left behind is there and not valid.
SELECT EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = to_regclass($1) AND i.indisvalid) AS is_valid,
       to_regclass($1) IS NOT NULL AS is_there,
       greatest(t.reltuples, 0)::float8 AS vectors
FROM pg_class t WHERE t.oid = to_regclass($2)
