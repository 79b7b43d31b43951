-- Sets the role, search path, limits and planner settings of a worker's session.
--
-- Called by: db::worker, when it opens a connection of the pool of sessions.
-- The settings and the prepared statements stay for all transactions of the session. A statement is
-- planned once, for any parameters: planning took four fifths of a claim's time. A plan that was
-- made while the queue was empty stays in use, so that plans may use indexes only, whatever the
-- sizes of the tables were.
SELECT set_config('role', 'pgrecall_worker', false),
       set_config('search_path', $1, false),
       set_config('statement_timeout', $2, false),
       set_config('idle_in_transaction_session_timeout', '10s', false),
       set_config('plan_cache_mode', 'force_generic_plan', false),
       set_config('enable_seqscan', 'off', false),
       set_config('enable_bitmapscan', 'off', false),
       set_config('jit', 'off', false)
