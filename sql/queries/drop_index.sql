-- Drops a space's HNSW index.
--
-- Called by: spaces::index, if a failed build left an invalid index.
DROP INDEX CONCURRENTLY IF EXISTS {vectors}_embedding_idx
