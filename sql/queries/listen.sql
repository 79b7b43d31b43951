-- Listens for wake-ups of workers.
--
-- Called by: session::listen, on the worker's own session.
LISTEN pgrecall_jobs
