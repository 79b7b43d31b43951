-- Locks a worker's lease row: a claim of its that has begun is over then, and another one finds that it is not alive.
--
-- Called by: queue::leave. A statement of its own: what comes after it sees that claim.
SELECT FROM workers WHERE id = $1::int8 FOR UPDATE
