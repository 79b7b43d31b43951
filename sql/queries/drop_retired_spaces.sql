-- Drops the spaces that were replaced longer ago than they are kept, in seconds, and the jobs that the switch found running.
--
-- Called by: spaces::drop_retired. See the function in V29 for its lock. It runs as the owner, who sees no job.
WITH left_over AS (
    DELETE FROM index_jobs j
    WHERE status <> 'running' AND NOT EXISTS (SELECT FROM embedding_spaces s WHERE s.id = j.space AND s.state <> 'retired'))
SELECT drop_retired_spaces($1::float8 * interval '1 second') AS dropped
