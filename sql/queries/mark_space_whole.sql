-- Marks a space as whole: nothing of its rebuild is open, and no more fresh writes than the active one waits for too, or than a
-- hundredth of all. Under a steady load of writes there are always some on the way. Nor does more fail than fails in the active one, or than a
-- hundredth: a model that refuses most of what the other one embeds must not take its place. What a person dismissed is no failure.
--
-- Called by: spaces::is_whole, after a round of the reconciler that found nothing. Reads the open jobs.
WITH open_jobs AS (
    SELECT count(*) FILTER (WHERE status <> 'failed' AND space = $1::int4) AS here,
           count(*) FILTER (WHERE status <> 'failed' AND space <> $1::int4) AS elsewhere,
           count(*) FILTER (WHERE status <> 'failed' AND space = $1::int4 AND trigger_kind = 'rebuild') AS of_the_rebuild,
           count(*) FILTER (WHERE status = 'failed' AND next_run_at < 'infinity' AND space = $1::int4) AS fail_here,
           count(*) FILTER (WHERE status = 'failed' AND next_run_at < 'infinity' AND space <> $1::int4) AS fail_elsewhere
    FROM index_jobs),
few AS (SELECT count(*) / 100 AS sources FROM (SELECT FROM sources LIMIT 100000) AS bounded)
UPDATE embedding_spaces SET state = CASE state WHEN 'building' THEN 'ready' ELSE state END
FROM open_jobs, few
WHERE id = $1::int4 AND state IN ('building', 'ready') AND of_the_rebuild = 0
  AND here <= greatest(elsewhere, few.sources) AND fail_here <= greatest(fail_elsewhere, few.sources)
