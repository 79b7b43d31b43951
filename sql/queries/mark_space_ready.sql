-- Marks a target space as ready for the cutover if little in it is open or failing.
--
-- Called by: spaces::mark_if_complete, after a round of the reconciler that found no gap. Reads the table
-- of open jobs.
-- Only jobs of fresh writes may be open, and no more than in the active space or 1 % of the sources
-- (at most 1,000), whichever is greater: under a steady load of writes some are always open. The
-- same bound holds for failed jobs: a model that refuses most of what the active one embeds must
-- not replace it. Dismissed jobs are not counted.
-- A reindex by a person is no fresh write: it may be every source of the space, and as many jobs
-- are then open in the active one, so that the bound would not catch it. The jobs of a third space
-- are not counted either, since perhaps no worker fills it any more.
WITH active AS (SELECT id FROM embedding_spaces WHERE state = 'active'),
open_jobs AS (
    SELECT count(*) FILTER (WHERE status <> 'failed' AND space = $1::int4) AS here,
           count(*) FILTER (WHERE status <> 'failed' AND space = (SELECT id FROM active)) AS in_the_active,
           count(*) FILTER (WHERE status <> 'failed' AND space = $1::int4 AND trigger_kind <> 'write') AS older,
           count(*) FILTER (WHERE status = 'failed' AND next_run_at < 'infinity' AND space = $1::int4) AS fail_here,
           count(*) FILTER (WHERE status = 'failed' AND next_run_at < 'infinity' AND space = (SELECT id FROM active)) AS fail_in_the_active
    FROM index_jobs),
few AS (SELECT count(*) / 100 AS sources FROM (SELECT FROM sources LIMIT 100000) AS bounded)
UPDATE embedding_spaces SET state = CASE state WHEN 'building' THEN 'ready' ELSE state END
FROM open_jobs, few
WHERE id = $1::int4 AND state IN ('building', 'ready') AND older = 0
  AND here <= greatest(in_the_active, few.sources) AND fail_here <= greatest(fail_in_the_active, few.sources)
