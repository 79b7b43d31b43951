-- Stores the size of a corpus, once its terms are counted.
--
-- Called by: corpora::recount.
INSERT INTO corpus_stats (tenant_id, source_kind, sources, words, counted_at)
VALUES ($1, $2, $3::int8, $4::int8, clock_timestamp())
ON CONFLICT (tenant_id, source_kind) DO UPDATE SET
    sources = excluded.sources, words = excluded.words, counted_at = excluded.counted_at
