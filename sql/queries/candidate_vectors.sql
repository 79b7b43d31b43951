-- Returns the best passage of the given sources by exact distance.
--
-- Called by: recall::candidates. Index: {vectors}_source_idx.
-- A passage adds a quarter of the cosine of its better adjacent passage; a passage without adjacent
-- passages keeps its own cosine (fragments/best_passages.sql).
WITH measured AS MATERIALIZED (
    SELECT v.source, v.passage, 1 - (v.embedding <=> $2) AS cosine FROM {vectors} v WHERE v.source = ANY ($1::int8[]))
{best_passages}
