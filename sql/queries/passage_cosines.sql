-- Returns the cosines of given passages to a vector.
--
-- Called by: recall::stages::feedback. Index: {vectors}_pkey.
SELECT v.passage, (1 - (v.embedding <=> $2))::float8 AS cosine FROM {vectors} v WHERE v.passage = ANY ($1::int8[])
