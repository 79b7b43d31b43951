-- Creates a worker's lease row.
--
-- Called by: queue::register.
INSERT INTO workers (name, lease_until, locked) VALUES ($1, clock_timestamp() + $2::float8 * interval '1 second', $3)
RETURNING id
