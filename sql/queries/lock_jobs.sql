-- Locks the jobs of sources, before anything of theirs is touched.
--
-- Called by: write::write, forget::forget. Every transaction that locks several jobs does so in the order of their sources, and locks
-- jobs before passages: otherwise a writer and a worker wait for each other. Index: index_jobs_unit.
SELECT FROM index_jobs WHERE source = ANY ($1::int8[]) ORDER BY source, space FOR UPDATE
