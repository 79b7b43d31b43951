-- Deletes failures that were resolved or dismissed before the retention ($1, days).
--
-- Called by: corpora::retain. Open failures stay.
-- The job of a dismissed source stays in index_jobs as failed, so deleting its failure does not
-- retry it.
DELETE FROM failures
WHERE least(resolved_at, dismissed_at) < clock_timestamp() - $1::int4 * interval '1 day'
