-- Takes the session lock that shows that a worker lives.
--
-- Called by: session::lock_worker, on the worker's own session. Postgres frees the lock when the
-- session ends, for whatever reason.
SELECT pg_advisory_lock(hashtext('pgrecall.worker'), $1::int4)
