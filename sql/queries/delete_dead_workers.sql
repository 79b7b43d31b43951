-- Deletes the rows of dead workers that hold no jobs.
--
-- Called by: queue::reap, after reap.sql in the same transaction, with the workers that reap.sql
-- found dead and locked.
-- Because of those locks no worker among them has claimed since, and this statement sees their
-- earlier claims.
DELETE FROM workers w
WHERE w.id = ANY ($1::int8[]) AND NOT EXISTS (SELECT FROM index_jobs j WHERE j.worker = w.id AND j.status = 'running')
