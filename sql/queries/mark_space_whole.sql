-- Marks a space as whole: nothing of its rebuild is open, and no more fresh writes than the active one waits for too, or than a
-- hundredth of all. Under a steady load of writes there are always some on the way.
--
-- Called by: spaces::is_whole, after a round of the reconciler that found nothing. Reads the open jobs.
WITH open_jobs AS (
    SELECT count(*) FILTER (WHERE space = $1::int4) AS here, count(*) FILTER (WHERE space <> $1::int4) AS elsewhere,
           count(*) FILTER (WHERE space = $1::int4 AND trigger_kind = 'rebuild') AS of_the_rebuild
    FROM index_jobs WHERE status <> 'failed')
UPDATE embedding_spaces SET state = CASE state WHEN 'building' THEN 'ready' ELSE state END
FROM open_jobs
WHERE id = $1::int4 AND state IN ('building', 'ready') AND of_the_rebuild = 0
  AND here <= greatest(elsewhere, (SELECT count(*) FROM (SELECT FROM sources LIMIT 100000) AS bounded) / 100)
