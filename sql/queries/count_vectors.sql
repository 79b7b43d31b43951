-- How many vectors of given sources a space holds.
--
-- Called by: forget::forget. Index: {vectors}_source_idx.
SELECT count(*) AS vectors FROM {vectors} WHERE source = ANY ($1::int8[])
