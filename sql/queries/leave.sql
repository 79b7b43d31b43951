-- Gives back all that a worker holds, and removes its row.
--
-- Called by: queue::leave, on a graceful stop.
WITH given_back AS (
    UPDATE index_jobs SET status = 'pending', worker = NULL, lease_token = NULL, called_at = NULL
    WHERE worker = $1::int8 AND status = 'running')
DELETE FROM workers WHERE id = $1::int8
