-- Claims the next jobs of a space under one lease token, which the worker has just made ($5).
--
-- Called by: queue::Claims::claim; settle.sql does the same beside the end of other jobs. Index: index_jobs_ready, in its order, so that the
-- oldest order key goes first and no row is sorted. SKIP LOCKED lets claimers pass each other. The rows go through ARRAY(...): as
-- `IN (SELECT ... LIMIT)` the planner may run the sub-select again and claim more than its limit. They are locked, so that they stay where
-- they are; one that was changed at this moment is left for the next claim. Nothing that is set here is indexed, so that the update is HOT; what
-- runs stays in the index, and is passed over. $4 is where the last claim ended: while a snapshot is held open somewhere, the index
-- keeps the entries of all that was claimed since, and a claim without the mark reads them again each time. The commit does not wait for the
-- disk: a claim that a crash of Postgres takes back is a job that is ready again, and its token will never be another claim's.
WITH unflushed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
{claim}
SELECT claimed.* FROM unflushed CROSS JOIN claimed
