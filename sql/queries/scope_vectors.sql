-- The best passage of every source of a small scope, by exact distance.
--
-- Called by: recall::exact. Index: {vectors}_source_idx. Exact, so that a narrow filter can neither empty nor shorten an answer. A
-- passage takes a quarter of its better neighbour's cosine; one without neighbours keeps its own (see fragments/best_passages.sql).
WITH scope AS MATERIALIZED ({scope}),
measured AS MATERIALIZED (
    SELECT v.source, v.passage, 1 - (v.embedding <=> $6) AS cosine FROM {vectors} v JOIN scope ON scope.id = v.source)
{best_passages}
