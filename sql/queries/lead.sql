-- Tries to become the one worker that embeds for a private database.
--
-- Called by: session::lead, on the worker's own session. Postgres frees the lock when the session
-- ends.
SELECT pg_try_advisory_lock(hashtext('pgrecall.embeds'), 0) AS leads
