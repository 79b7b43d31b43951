-- What is left of forgotten sources where a recall looks: it must be nothing, and who asked to forget is told so.
--
-- Called by: forget::forget, as the worker, after the transaction of forget.sql: a caller's policies would hide what was left behind. Indexes: passages_source_ordinal_key, postings_by_source, labels_by_source.
-- Vectors are counted by count_vectors.sql, in each space.
SELECT (SELECT count(*) FROM sources s WHERE s.id = ANY ($1::int8[]))
     + (SELECT count(*) FROM passages p WHERE p.source = ANY ($1::int8[]))
     + (SELECT count(*) FROM postings p WHERE p.source = ANY ($1::int8[]))
     + (SELECT count(*) FROM labels l WHERE l.source = ANY ($1::int8[]))
     + (SELECT count(*) FROM index_jobs j WHERE j.source = ANY ($1::int8[])) AS rows
