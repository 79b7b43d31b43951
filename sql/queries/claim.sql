-- Claims the next jobs of a space under one fresh lease token.
--
-- Called by: queue::Claims::claim. Index: index_jobs_ready, in its order, so that the oldest order key goes first and no row is sorted.
-- SKIP LOCKED lets claimers pass each other. The ids go through ARRAY(...): as `IN (SELECT ... LIMIT)` the planner may run the
-- sub-select again and claim more than its limit. Nothing that is set here is indexed, so that the update is HOT; what runs stays in the
-- index, and is passed over. $4 is where the last claim ended: while a snapshot is held open somewhere, the index
-- keeps the entries of all that was claimed since, and a claim without the mark reads them again each time.
WITH alive AS MATERIALIZED (
    -- Whoever deletes this row, the reaper above all, waits for this claim or makes it claim nothing.
    SELECT id FROM workers WHERE id = $3::int8 FOR KEY SHARE),
claimed AS MATERIALIZED (
    SELECT id FROM index_jobs
    WHERE EXISTS (SELECT FROM alive) AND space = $1::int4 AND status = 'pending' AND next_run_at IS NULL AND order_key >= $4::timestamptz
    ORDER BY order_key, id
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED),
token AS MATERIALIZED (SELECT nextval('lease_tokens') AS token)
UPDATE index_jobs j
SET status = 'running', worker = $3::int8, lease_token = (SELECT token FROM token), started_at = clock_timestamp(), items_done = 0
WHERE j.id = ANY (ARRAY(SELECT id FROM claimed))
RETURNING j.id, j.source, j.wanted, j.attempts, j.crash_count > 0 AS suspect, j.forced, j.order_key, j.lease_token
