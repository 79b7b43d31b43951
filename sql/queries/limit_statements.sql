-- Ends every later statement of this session that takes longer than so many milliseconds ($1).
--
-- Called by: integrity::check.
SELECT set_config('statement_timeout', $1, false)
