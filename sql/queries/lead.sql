-- Becomes the one worker that embeds for an embedded database, if there is none.
--
-- Called by: session::lead, on the worker's own session.
SELECT pg_try_advisory_lock(hashtext('pgrecall.embeds'), 0) AS leads
