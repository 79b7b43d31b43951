-- Drops the spaces that were retired more than $1 seconds ago; deletes the jobs of retired spaces.
--
-- Called by: spaces::drop_retired. The function in V29 has the argument for its lock.
-- The cutover found these jobs running, and left them. The statement deletes them itself: the
-- function runs as the owner, to whom row-level security shows no job.
WITH left_over AS (
    DELETE FROM index_jobs j
    WHERE status <> 'running' AND NOT EXISTS (SELECT FROM embedding_spaces s WHERE s.id = j.space AND s.state <> 'retired'))
SELECT drop_retired_spaces($1::float8 * interval '1 second') AS dropped
