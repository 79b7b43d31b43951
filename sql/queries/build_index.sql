-- Called by: spaces::index. Concurrently: an edit of a source deletes its old vectors, and must not wait for this.
CREATE INDEX CONCURRENTLY {vectors}_embedding_idx ON {vectors} USING hnsw (embedding halfvec_cosine_ops)
