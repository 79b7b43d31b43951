-- Tries to become the one session that builds a space's index.
--
-- Called by: spaces::index, on a session of its own. Postgres frees the lock when the session ends.
SELECT pg_try_advisory_lock(hashtext('pgrecall.index'), $1::int4) AS builds
