-- Takes on a role and a scope for one transaction.
--
-- Called by: db::Db::begin, the first statement of every transaction but those in a worker's sessions. Everything is set locally: behind a transaction pooler the next
-- client of this backend inherits nothing. A program that is frozen or cut off in a transaction loses it after ten seconds, and with it the
-- locks that others wait for. HNSW scans go on until enough rows pass the filters (pgvector 0.8). Times in
-- JSON are in UTC: in another zone the year 1 may be written as 1 BC. What is asked of
-- these tables is a few milliseconds' work in memory: helpers cost more than they bring, and a page is not dearer for lying elsewhere.
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
