-- Removes the rows of dead workers that hold nothing any more.
--
-- Called by: queue::reap, after reap.sql in the same transaction, with the workers that it found dead and locked: none of them can have
-- claimed since, and what they claimed before is seen here.
DELETE FROM workers w
WHERE w.id = ANY ($1::int8[]) AND NOT EXISTS (SELECT FROM index_jobs j WHERE j.worker = w.id AND j.status = 'running')
