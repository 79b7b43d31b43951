-- Wakes the workers with NOTIFY.
--
-- Called by: queue::Notifier after a commit, and queue::notify for a worker that tests its own
-- session.
-- Runs on a separate connection: in the writer's transaction, NOTIFY would take a lock that all
-- commits of the database share. The commit does not wait for the disk: a crash of Postgres ends
-- every session that could receive the notification.
SELECT set_config('synchronous_commit', 'off', true), pg_notify('pgrecall_jobs', $1)
