-- Builds the HNSW index of a space.
--
-- Called by: spaces::index. CONCURRENTLY: an edit of a source deletes its old vectors and must not
-- wait for the build.
CREATE INDEX CONCURRENTLY {vectors}_embedding_idx ON {vectors} USING hnsw (embedding halfvec_cosine_ops)
