-- Counts the vectors of the given sources in one space.
--
-- Called by: forget::forget. Index: {vectors}_source_idx.
SELECT count(*) AS vectors FROM {vectors} WHERE source = ANY ($1::int8[])
