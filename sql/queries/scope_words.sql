-- BM25 of every source of a small scope, with the statistics of just that scope.
--
-- Called by: recall::exact. Indexes: postings_pkey. What is rare within one conversation says more about it than what is rare in
-- everything that was ever said: on LoCoMo it is worth .012 recall@10. Sources without a match come with 0, since the vectors may
-- want them.
WITH scope AS MATERIALIZED ({scope}),
corpus AS MATERIALIZED (
    SELECT count(*)::float8 AS sources, greatest(avg(words), 1)::float8 AS mean_words FROM scope),
hits AS MATERIALIZED (
    SELECT p.source, p.term, p.frequency, p.length
    FROM postings p
    JOIN scope ON scope.id = p.source
    WHERE p.tenant_id = current_setting('pgrecall.tenant') AND p.source_kind = ANY ($1::text[]) AND p.term = ANY ($6::text[])),
rarity AS (
    SELECT term, ln(1 + (corpus.sources - count(*) + 0.5) / (count(*) + 0.5)) AS idf
    FROM hits, corpus GROUP BY term, corpus.sources),
scored AS (
    SELECT source, sum(idf * frequency * 2.2 / (frequency + 1.2 * (0.4 + 0.6 * length / mean_words))) AS bm25
    FROM hits JOIN rarity USING (term), corpus
    GROUP BY source)
SELECT scope.id AS source, coalesce(scored.bm25, 0)::float8 AS bm25
FROM scope LEFT JOIN scored ON scored.source = scope.id
