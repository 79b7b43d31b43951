-- Deletes sources and their jobs.
--
-- Called by: forget::forget, after find_forgotten.sql and lock_jobs.sql in the same transaction.
-- Indexes: sources_pkey, index_jobs_unit.
-- Passages, vectors, postings and labels go with the sources (ON DELETE CASCADE); jobs have no
-- foreign key. find_forgotten.sql has locked the sources: every writer of them has ended, and this
-- statement sees its jobs.
WITH jobs AS (
    DELETE FROM index_jobs WHERE source = ANY ($1::int8[]))
DELETE FROM sources WHERE id = ANY ($1::int8[])
