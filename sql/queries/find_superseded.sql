-- Which of these ids name a record whose place can be taken.
--
-- Called by: write::write. Index: sources_by_id. Locks them, in the order of their ids, until supersede.sql.
SELECT s.source_id FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = ANY ($1::uuid[])
ORDER BY s.id
FOR UPDATE OF s
