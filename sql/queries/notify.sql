-- Wakes the workers. Sent after the commit and on a connection of its own: inside the writer's transaction it would take a lock that
-- all commits of the database share. It does not wait for the disk: a crash of Postgres ends every session that could hear it.
--
-- Called by: queue::Notifier, and queue::notify for a worker that wants to know whether it hears.
SELECT set_config('synchronous_commit', 'off', true), pg_notify('pgrecall_jobs', $1)
