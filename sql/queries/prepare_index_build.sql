-- Prepares the session for an index build: owner role, no timeout, memory, parallel workers.
--
-- Called by: spaces::index. $2 is the memory for the graph, in kB.
-- $3 limits the parallel workers; NULL keeps the server's setting. Parallel workers share the graph
-- through /dev/shm, of which a container has 64 MB by default.
SELECT set_config('role', 'pgrecall_owner', false), set_config('search_path', $1, false), set_config('statement_timeout', '0', false),
       set_config('maintenance_work_mem', $2, false),
       set_config('max_parallel_maintenance_workers', coalesce($3, current_setting('max_parallel_maintenance_workers')), false)
