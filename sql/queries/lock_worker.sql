-- Takes the session lock that says "this worker lives". Freed by Postgres when the session ends, however it ends.
--
-- Called by: session::lock_worker, on the worker's own session.
SELECT pg_advisory_lock(hashtext('pgrecall.worker'), $1::int4)
