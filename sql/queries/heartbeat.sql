-- Stamps a worker's lease, and says how its embedder is. No row: the lease was lost, and the jobs are another's.
--
-- Called by: queue::heartbeat, every third of a lease. One row a worker, whatever it holds; lease_until is in no index, so that the
-- update is HOT.
UPDATE workers SET lease_until = clock_timestamp() + $2::float8 * interval '1 second', embedder = $3, reason = $4
WHERE id = $1::int8 RETURNING id
