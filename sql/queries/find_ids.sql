-- Finds the records that have these public ids, and locks them.
--
-- Called by: write::write, for records that had an id before, and for ids that an earlier attempt
-- of the batch may have committed. Index: sources_by_id.
-- Locks in the order of ids, as find_keys.sql does.
SELECT s.source_id, s.source_kind, s.collection, s.key, s.owner_id, s.visibility, s.persona, s.content_hash, s.written_by
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = ANY ($1::uuid[])
ORDER BY s.id
FOR UPDATE OF s
