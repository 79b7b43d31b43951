-- Sets the statement timeout of this session ($1, milliseconds).
--
-- Called by: integrity::check. Postgres ends a statement that runs on after its client has gone.
SELECT set_config('statement_timeout', $1, false)
