-- Becomes the one that builds a space's index, until its session ends.
--
-- Called by: spaces::index, on a session of its own.
SELECT pg_try_advisory_lock(hashtext('pgrecall.index'), $1::int4) AS builds
