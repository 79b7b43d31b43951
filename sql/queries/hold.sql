-- Locks the jobs that a claim still holds, before the worker stores vectors or gives jobs back.
--
-- Called by: vectors::store, queue::give_back. Fenced by the lease token.
-- Locks in the order of sources, as every transaction does that locks several jobs. A separate
-- statement: the next one gets a new snapshot, with the changes of the transaction that held the
-- locks before.
SELECT FROM index_jobs WHERE source = ANY ($1::int8[]) AND lease_token = $2::int8 AND status = 'running' ORDER BY source, space FOR UPDATE
