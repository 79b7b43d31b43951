-- The vectors of given passages, as text: no type of an extension goes into a result.
--
-- Called by: recall::stages::feedback, and recall::stages::diversify where answers are compared. Index: {vectors}_pkey.
SELECT v.passage, v.embedding::text AS embedding FROM {vectors} v WHERE v.passage = ANY ($1::int8[])
