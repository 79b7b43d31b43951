-- Returns the vectors of given passages as text.
--
-- Called by: recall::stages::feedback, and recall::stages::diversify to compare results. Index:
-- {vectors}_pkey.
-- As text, since no type of an extension goes into a result.
SELECT v.passage, v.embedding::text AS embedding FROM {vectors} v WHERE v.passage = ANY ($1::int8[])
