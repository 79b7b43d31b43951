-- Makes the statements of this transaction look rows up in an index instead of hashing a table.
--
-- Called by: coverage::serving, in the path of a recall.
-- The policy of index_jobs reads the source of each job. The planner does not see that the first
-- job suffices, and would hash every readable source for it. A hash does not fit into this memory.
SELECT set_config('work_mem', '64kB', true)
