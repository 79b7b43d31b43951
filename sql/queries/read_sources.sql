-- Returns whole sources by their public ids.
--
-- Called by: read::records, correct::update, and write::write to compare an import with the stored
-- records. Index: sources_by_id.
SELECT s.source_id, s.owner_id, s.persona, s.written_by, {exported}::text AS line
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = ANY ($1::uuid[])
ORDER BY s.id
