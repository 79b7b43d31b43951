-- Sets the session up to build an index: as the owner, for as long as it takes, with the memory that its graph needs (in kB) and with
-- so many helpers, or the server's own number.
--
-- Called by: spaces::index. Helpers share the graph through /dev/shm, of which a container has 64 MB unless it was given more.
SELECT set_config('role', 'pgrecall_owner', false), set_config('search_path', $1, false), set_config('statement_timeout', '0', false),
       set_config('maintenance_work_mem', $2, false),
       set_config('max_parallel_maintenance_workers', coalesce($3, current_setting('max_parallel_maintenance_workers')), false)
