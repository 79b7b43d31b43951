-- Locks the jobs of sources before their passages are changed or deleted.
--
-- Called by: write::write, forget::forget. Index: index_jobs_unit.
-- Every transaction that locks several jobs does so in the order of their sources, and locks jobs
-- before passages: otherwise a writer and a worker could deadlock.
SELECT FROM index_jobs WHERE source = ANY ($1::int8[]) ORDER BY source, space FOR UPDATE
