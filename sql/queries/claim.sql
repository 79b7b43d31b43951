-- Claims the next ready jobs of a space under one lease token, which the worker makes ($5).
--
-- Called by: queue::Claims::claim; settle.sql claims in the same way while it ends other jobs.
-- Index: index_jobs_ready.
-- The index has the order of the claim: the oldest order key comes first and no row is sorted. SKIP
-- LOCKED lets several workers claim at once. The rows go through ARRAY(...), since the planner may
-- run `IN (SELECT ... LIMIT)` more than once and claim more than the limit. The selected rows are
-- locked, so their ctids stay valid; a row that another transaction is changing is left for the
-- next claim.
-- The claim changes no indexed column, so the update is HOT. Running jobs stay in the index, and
-- claims skip them. $4 is the watermark, the order key where the last claim ended: while a snapshot
-- is open somewhere, the index keeps the entries of all jobs claimed since, and a claim without the
-- watermark would read them again each time.
-- The commit does not wait for the disk: if a crash of Postgres undoes the claim, the jobs are
-- ready again, and no other claim ever gets its token (decision 9).
WITH unflushed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
{claim}
SELECT claimed.*, (SELECT clock FROM served) AS clock FROM unflushed CROSS JOIN claimed
