-- Whether every passage has its vector in a space. While a job is open, one has not, and nothing is read to find out.
--
-- Called by: spaces::activate_when_whole, after a round of the reconciler that found nothing.
SELECT NOT EXISTS (SELECT FROM index_jobs WHERE space = $1::int4 AND status <> 'failed')
   AND NOT EXISTS (
    SELECT FROM passages p
    WHERE NOT EXISTS (SELECT FROM {vectors} v WHERE v.passage = p.id AND v.text_hash = p.text_hash)) AS whole
