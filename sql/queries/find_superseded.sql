-- Finds the records with these ids, with their owners, readers and existing successors.
--
-- Called by: write::write and correct::supersede. Index: sources_by_id.
-- Locks the records, in the order of their ids, until supersede.sql or supersede_by.sql runs.
SELECT s.source_id, s.owner_id, s.visibility, s.persona,
       (SELECT n.source_id FROM sources n
        WHERE n.tenant_id = current_setting('pgrecall.tenant') AND n.source_id = s.superseded_by AND s.status = 'superseded') AS by
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = ANY ($1::uuid[])
ORDER BY s.id
FOR UPDATE OF s
