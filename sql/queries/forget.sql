-- Deletes sources. Passages, vectors, postings and labels go with them (ON DELETE CASCADE); jobs have no foreign key, and go here.
--
-- Called by: forget::forget, after find_forgotten.sql in the same transaction, which locked the sources: whoever writes one at this moment
-- is over, and its job is seen. Index: index_jobs_unit.
WITH jobs AS (
    DELETE FROM index_jobs WHERE source = ANY ($1::int8[]))
DELETE FROM sources WHERE id = ANY ($1::int8[])
