-- Makes a connection a worker's session: role, search path and limits stay for all its transactions, and so do its prepared statements.
--
-- Called by: db::worker, when a connection of the sessions' pool is opened. Each statement of a session finds its rows by an index,
-- whatever the tables' sizes were when it was planned: a plan that was made while the queue was empty outlives that.
SELECT set_config('role', 'pgrecall_worker', false),
       set_config('search_path', $1, false),
       set_config('statement_timeout', $2, false),
       set_config('idle_in_transaction_session_timeout', '10s', false),
       set_config('enable_seqscan', 'off', false),
       set_config('jit', 'off', false)
