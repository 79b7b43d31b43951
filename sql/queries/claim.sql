-- Claims the next jobs of a space under one fresh lease token.
--
-- Called by: queue::claim. Index: index_jobs_ready, in its order, so that the oldest order key goes first and no row is sorted.
-- SKIP LOCKED lets claimers pass each other. The ids go through ARRAY(...): as `IN (SELECT ... LIMIT)` the planner may run the
-- sub-select again and claim more than its limit.
WITH claimed AS MATERIALIZED (
    SELECT id FROM index_jobs
    WHERE space = $1::int4 AND status = 'pending' AND next_run_at IS NULL
    ORDER BY order_key, id
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED),
token AS MATERIALIZED (SELECT nextval('lease_tokens') AS token)
UPDATE index_jobs j
SET status = 'running', worker = $3::int8, lease_token = (SELECT token FROM token), attempts = attempts + 1,
    started_at = clock_timestamp(), items_done = 0
WHERE j.id = ANY (ARRAY(SELECT id FROM claimed))
RETURNING j.id, j.source, j.wanted, j.attempts, j.lease_token
