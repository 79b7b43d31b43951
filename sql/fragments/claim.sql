-- Claims jobs: the CTEs of a claim, the last of which is `claimed`.
--
-- Used by: claim.sql and settle.sql, which have the reasons. Indexes: workers_pkey,
-- index_jobs_ready.
alive AS MATERIALIZED (
    -- A transaction that deletes this row locks it first. If it has the lock, the claim takes
    -- nothing. If it comes later, it waits for the claim or, as the reaper does, skips the worker.
    SELECT id FROM workers WHERE id = $3::int8 FOR KEY SHARE SKIP LOCKED),
next AS MATERIALIZED (
    SELECT ctid FROM index_jobs
    WHERE EXISTS (SELECT FROM alive) AND space = $1::int4 AND status = 'pending' AND next_run_at IS NULL AND order_key >= $4::timestamptz
    ORDER BY order_key, source
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED),
claimed AS (
    UPDATE index_jobs
    SET status = 'running', worker = $3::int8, lease_token = $5::int8, started_at = clock_timestamp(), items_done = 0
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM next))
    RETURNING source, wanted, attempts, crash_count > 0 AS suspect, forced, items_total, order_key, lease_token, trace_id, span_id)
