-- Claims jobs: the CTEs of a claim, the last of which are `claimed` and `served`.
--
-- Used by: claim.sql and settle.sql, which have the reasons. Indexes: workers_pkey,
-- index_jobs_ready.
alive AS MATERIALIZED (
    -- A transaction that deletes this row locks it first. If it has the lock, the claim takes
    -- nothing. If it comes later, it waits for the claim or, as the reaper does, skips the worker.
    SELECT id FROM workers WHERE id = $3::int8 FOR KEY SHARE SKIP LOCKED),
next AS MATERIALIZED (
    SELECT ctid, order_key, source, items_total FROM index_jobs
    WHERE EXISTS (SELECT FROM alive) AND space = $1::int4 AND status = 'pending' AND next_run_at IS NULL AND order_key >= $4::timestamptz
      {ahead}
    ORDER BY order_key, source
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED),
claimed AS (
    UPDATE index_jobs
    SET status = 'running', worker = $3::int8, lease_token = $5::int8, started_at = clock_timestamp(), items_done = 0
    WHERE ctid = ANY (ARRAY(
        -- In the order of `next`, without sorting it again.
        SELECT ctid FROM (SELECT ctid, items_total, sum(items_total) OVER (ROWS UNBOUNDED PRECEDING) AS upto FROM next) AS n
        WHERE upto - items_total < $6::int8))
    RETURNING source, wanted, attempts, crash_count > 0 AS suspect, flow IS NOT NULL AS is_single, forced, items_total, order_key, lease_token, trace_id, span_id),
served AS (
    -- The clock passes the first end of these jobs: else a caller who writes the next record
    -- whenever the last one is embedded would start at the same tag each time, before the others. A
    -- claim ahead moves it no further, since the jobs before its own are still to be claimed.
    SELECT setval(clock.id, greatest(pg_sequence_last_value(clock.id), (extract(epoch FROM c.tag) * 1000000)::int8)) AS clock
    FROM (SELECT greatest(max(order_key) FILTER (WHERE NOT $7::bool), min(order_key + greatest(items_total, 1) * interval '1 millisecond')) AS tag FROM claimed) AS c
    CROSS JOIN (SELECT ('queue_clock_' || $1::int4 % 4)::regclass AS id) AS clock
    WHERE c.tag IS NOT NULL)
