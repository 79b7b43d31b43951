-- Renews a worker's lease, and stores the state of its embedder.
--
-- Called by: queue::heartbeat, every third of a lease.
-- No row: the lease was lost, and other workers may hold the jobs. One row per worker, however many
-- jobs it holds; lease_until is in no index, so that the update is HOT.
UPDATE workers SET lease_until = clock_timestamp() + $2::float8 * interval '1 second', embedder = $3, reason = $4
WHERE id = $1::int8 RETURNING id
