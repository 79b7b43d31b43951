-- Which of these ids name a record, and by what it is superseded already, if that is still there.
--
-- Called by: write::write. Index: sources_by_id. Locks them, in the order of their ids, until supersede.sql.
SELECT s.source_id,
       (SELECT n.source_id FROM sources n
        WHERE n.tenant_id = current_setting('pgrecall.tenant') AND n.source_id = s.superseded_by AND s.status = 'superseded') AS by
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = ANY ($1::uuid[])
ORDER BY s.id
FOR UPDATE OF s
