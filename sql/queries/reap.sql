-- Returns the jobs of dead workers to the queue.
--
-- Called by: queue::reap, on every replica: SKIP LOCKED lets them share the work. Index of the end
-- of the queue: index_jobs_ready.
-- A worker is dead if its lease has expired, or if the lock that it holds for life is free. A crash
-- counts against the job that the worker embedded in a call of its own, or else against every job
-- of the claim; from then on each of those gets a call of its own. So the job that kills its worker
-- is found and parked, and the other jobs of its claim are not. If an unfinished transaction of a
-- dead worker still locks a job, the next sweep returns that job: the reaper does not wait for a
-- dead worker.
WITH dead AS MATERIALIZED (
    SELECT id FROM workers
    WHERE id <> $1::int8
      AND (lease_until < clock_timestamp() OR (locked AND pg_try_advisory_xact_lock(hashtext('pgrecall.worker'), id::int4)))
    FOR UPDATE SKIP LOCKED),
held AS MATERIALIZED (
    SELECT j.source, j.space, j.lease_token,
           (j.called_at IS NOT NULL OR NOT bool_or(j.called_at IS NOT NULL) OVER (PARTITION BY j.lease_token))::int AS suspect
    FROM index_jobs j JOIN dead ON j.worker = dead.id
    WHERE j.status = 'running'),
free AS MATERIALIZED (
    SELECT j.source, j.space FROM index_jobs j JOIN held USING (source, space, lease_token)
    WHERE j.status = 'running'
    ORDER BY j.source, j.space FOR UPDATE OF j SKIP LOCKED),
freed AS (
    UPDATE index_jobs j SET
        crash_count = crash_count + suspect,
        -- A suspect goes to the end: at the front, the next crash would hit it again, even if
        -- another job causes the crashes.
        order_key = CASE WHEN suspect = 1
            THEN (SELECT max(last.order_key) + interval '1 microsecond' FROM index_jobs last WHERE last.space = j.space AND last.next_run_at IS NULL)
            ELSE order_key END,
        parked = parked + (crash_count + suspect >= $2::int4)::int,
        status = CASE WHEN crash_count + suspect >= $2::int4 THEN 'failed' ELSE 'pending' END,
        next_run_at = CASE WHEN crash_count + suspect >= $2::int4 THEN clock_timestamp() + parking_time(parked + 1) END,
        worker = NULL, lease_token = NULL, called_at = NULL
    FROM held WHERE j.source = held.source AND j.space = held.space AND (j.source, j.space) IN (SELECT source, space FROM free)
    RETURNING j.source, j.space, j.tenant_id, j.source_kind, j.status, 'crash' AS error_class,
              'its worker died ' || j.crash_count || ' times while it held this source' AS last_error),
failing AS (SELECT * FROM freed WHERE status = 'failed'),
recorded AS (
    {record_failures})
SELECT ARRAY(SELECT id FROM dead) AS workers, (SELECT count(*) FROM freed) AS jobs
