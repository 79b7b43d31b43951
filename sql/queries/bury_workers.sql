-- Removes the rows of dead workers that hold nothing any more.
--
-- Called by: queue::reap, after reap.sql in the same transaction.
DELETE FROM workers w
WHERE w.id <> $1::int8
  AND (lease_until < clock_timestamp() OR (locked AND pg_try_advisory_xact_lock(hashtext('pgrecall.worker'), id::int4)))
  AND NOT EXISTS (SELECT FROM index_jobs j WHERE j.worker = w.id AND j.status = 'running')
