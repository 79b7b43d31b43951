-- Finds and locks the sources to forget, with the number of their passages and jobs.
--
-- Called by: forget::forget. Index: sources_by_id.
-- The locks keep the counts equal to what the deletion removes.
SELECT s.id, s.source_id, s.owner_id,
       (SELECT count(*) FROM passages p WHERE p.source = s.id) AS passages,
       (SELECT count(*) FROM index_jobs j WHERE j.source = s.id) AS jobs
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = ANY ($1::uuid[])
ORDER BY s.id
FOR UPDATE OF s
