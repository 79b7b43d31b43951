-- Locks a worker's lease row until the end of the transaction.
--
-- Called by: queue::leave, before leave.sql.
-- Waits for a claim that has begun; a later claim finds no live worker and claims nothing. A
-- separate statement, so that leave.sql sees that claim in its snapshot.
SELECT FROM workers WHERE id = $1::int8 FOR UPDATE
