-- Gives back the jobs of workers that are dead: their lease ran out, or the lock that they hold for life is free.
--
-- Called by: queue::reap, on every replica: SKIP LOCKED lets them share the work. The attempt stays counted, so that a job that kills
-- its worker is buried after its last one instead of going round for ever.
WITH dead AS MATERIALIZED (
    SELECT id FROM workers
    WHERE id <> $1::int8
      AND (lease_until < clock_timestamp() OR (locked AND pg_try_advisory_xact_lock(hashtext('pgrecall.worker'), id::int4)))
    FOR UPDATE SKIP LOCKED),
freed AS (
    UPDATE index_jobs j SET
        status = CASE WHEN attempts >= $2::int4 THEN 'failed' ELSE 'pending' END,
        crash_count = crash_count + 1,
        error_class = CASE WHEN attempts >= $2::int4 THEN 'crash' ELSE error_class END,
        last_error = CASE WHEN attempts >= $2::int4
                     THEN 'its worker died ' || (crash_count + 1) || ' times while it held this job' ELSE last_error END,
        failed_at = CASE WHEN attempts >= $2::int4 THEN clock_timestamp() ELSE failed_at END,
        occurrences = occurrences + CASE WHEN attempts >= $2::int4 THEN 1 ELSE 0 END,
        worker = NULL, lease_token = NULL
    FROM dead WHERE j.worker = dead.id AND j.status = 'running'
    RETURNING j.id)
SELECT (SELECT count(*) FROM dead) AS workers, (SELECT count(*) FROM freed) AS jobs
