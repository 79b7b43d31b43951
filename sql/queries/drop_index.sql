-- Called by: spaces::index, when a broken build left it behind.
DROP INDEX CONCURRENTLY IF EXISTS {vectors}_embedding_idx
