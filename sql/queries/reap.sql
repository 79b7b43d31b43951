-- Gives back the jobs of workers that are dead: their lease ran out, or the lock that they hold for life is free.
--
-- Called by: queue::reap, on every replica: SKIP LOCKED lets them share the work. A crash counts against the job whose call was under
-- way, if it was called alone, and else against every job of its claim; from then on those are called alone. So the job that kills its
-- worker is found and parked, and those that were beside it are not. A job that is locked by a transaction of the dead that has not ended
-- yet is left to the next sweep: nobody waits for the dead.
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
        -- Behind all others: were it first again, whatever kills workers would hit it again, its own doing or not.
        order_key = CASE WHEN suspect = 1 THEN greatest(order_key, clock_timestamp()) ELSE order_key END,
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
