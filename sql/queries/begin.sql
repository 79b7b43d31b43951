-- Sets the role, the scope, the limits and the planner settings of one transaction.
--
-- Called by: db::Db::begin, as the first statement of every transaction except those on a worker's
-- sessions.
-- Everything is set locally: behind a transaction pooler, the next client of this backend inherits
-- nothing. Postgres ends a transaction that is idle for ten seconds, because a program that hangs
-- or is cut off would keep locks that others wait for.
-- HNSW scans continue until enough rows pass the filters (pgvector 0.8). JSON has times in UTC: in
-- another zone the year 1 may be written as 1 BC. Statements work on these tables in memory for a
-- few milliseconds: parallel workers cost more than they save, and a random page costs about as
-- much as a sequential one.
SELECT set_config('role', $1, true),
       set_config('search_path', $2, true),
       set_config('pgrecall.tenant', $3, true),
       set_config('pgrecall.owner', $4, true),
       set_config('pgrecall.persona', $5, true),
       set_config('statement_timeout', $6, true),
       set_config('idle_in_transaction_session_timeout', '10s', true),
       set_config('hnsw.iterative_scan', 'relaxed_order', true),
       set_config('hnsw.ef_search', '100', true),
       set_config('timezone', 'UTC', true),
       set_config('random_page_cost', '1.1', true),
       set_config('max_parallel_workers_per_gather', '0', true)
