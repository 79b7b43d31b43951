-- The workers that are alive, and what they say of their embedder.
--
-- Called by: status::workers, status::status, as a worker: a caller is told neither hosts nor processes.
SELECT name, embedder, reason FROM workers WHERE lease_until > clock_timestamp() ORDER BY id
