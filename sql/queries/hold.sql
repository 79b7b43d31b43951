-- Locks a worker's jobs, if it holds them still, before it stores or gives back: in the order of their sources, as every transaction that
-- locks several jobs does.
--
-- Called by: vectors::store, queue::give_back. A statement of its own: what comes after it sees what whoever held the lock has committed.
SELECT FROM index_jobs WHERE source = ANY ($1::int8[]) AND lease_token = $2::int8 AND status = 'running' ORDER BY source, space FOR UPDATE
