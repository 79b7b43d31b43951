-- Marks a space as whole: nothing but fresh writes is open, and no more of them than the active one waits for too, or than a
-- hundredth of all. Under a steady load of writes there are always some on the way. Nor does more fail than fails in the active one, or than a
-- hundredth: a model that refuses most of what the other one embeds must not take its place. What a person dismissed is no failure.
--
-- Called by: spaces::is_whole, after a round of the reconciler that found nothing. Reads the open jobs. What a person had reindexed is no
-- fresh write: in a space that is being filled it can be everything, and the active one waits for as much. Nor does it count what a third space
-- waits for, which nobody may fill any more.
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
