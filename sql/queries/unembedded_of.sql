-- Counts for each of these records the passages that have no vector of their text, if its job is
-- open or parked.
--
-- Called by: coverage::of_records, repeatedly while a command waits. Indexes: sources_by_id,
-- index_jobs_unit, passages_source_ordinal_key, vectors_N_pkey.
-- A record whose vectors are made again (`forced`) has them already: its job alone says that it is
-- not done.
SELECT s.source_id AS id, j.status = 'failed' AS has_failed,
       (SELECT count(*) FROM passages p
        WHERE p.source = s.id
          AND NOT EXISTS (SELECT FROM {vectors} v WHERE v.passage = p.id AND v.text_hash = p.text_hash)) AS passages
FROM unnest($2::uuid[]) AS wanted (id)
JOIN sources s ON s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = wanted.id
JOIN index_jobs j ON j.source = s.id AND j.space = $1::int4
WHERE j.status <> 'failed' OR j.next_run_at < 'infinity'
