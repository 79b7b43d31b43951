-- Wakes the workers. Sent after the commit and on a connection of its own: inside the writer's transaction it would take a lock that
-- all commits of the database share.
--
-- Called by: queue::Notifier, and queue::notify for a worker that wants to know whether it hears.
SELECT pg_notify('pgrecall_jobs', $1)
