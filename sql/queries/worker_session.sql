-- Makes a connection a worker's session: role, search path and limits stay for all its transactions, and so do its prepared statements.
--
-- Called by: db::worker, when a connection of the sessions' pool is opened. A statement is planned once, for whatever it will be given:
-- planning took four fifths of a claim's time. A plan that was made while the queue was empty outlives that, so that it may lead by
-- indexes only, whatever the tables' sizes were.
SELECT set_config('role', 'pgrecall_worker', false),
       set_config('search_path', $1, false),
       set_config('statement_timeout', $2, false),
       set_config('idle_in_transaction_session_timeout', '10s', false),
       set_config('plan_cache_mode', 'force_generic_plan', false),
       set_config('enable_seqscan', 'off', false),
       set_config('enable_bitmapscan', 'off', false),
       set_config('jit', 'off', false)
