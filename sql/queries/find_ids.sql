-- Which of these ids are taken, and by what.
--
-- Called by: write::write, for records that had an id before. Index: sources_by_id. Locks as find_keys.sql does.
SELECT s.source_id, s.source_kind, s.collection, s.key, s.owner_id, s.visibility, s.persona, s.content_hash, s.written_by
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = ANY ($1::uuid[])
ORDER BY s.id
FOR UPDATE OF s
