-- Counts the rows of forgotten sources that are left in the tables that a recall reads.
--
-- Called by: forget::forget, after the transaction of forget.sql has committed. The count must be
-- 0, and the answer to the caller names it.
-- Indexes: sources_pkey, passages_source_ordinal_key, postings_by_source, labels_by_source,
-- index_jobs_unit.
-- Runs as the worker, because a caller's policies would hide rows that were left behind.
-- count_vectors.sql counts the vectors of each space.
SELECT (SELECT count(*) FROM sources s WHERE s.id = ANY ($1::int8[]))
     + (SELECT count(*) FROM passages p WHERE p.source = ANY ($1::int8[]))
     + (SELECT count(*) FROM postings p WHERE p.source = ANY ($1::int8[]))
     + (SELECT count(*) FROM labels l WHERE l.source = ANY ($1::int8[]))
     + (SELECT count(*) FROM index_jobs j WHERE j.source = ANY ($1::int8[])) AS rows
