-- Lists the workers that are alive, and the state of their embedders.
--
-- Called by: workers::live, in the worker's role: a caller may not see hosts and processes.
SELECT name, embedder, reason FROM workers WHERE lease_until > clock_timestamp() ORDER BY id
