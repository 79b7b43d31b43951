-- Finds the caller's newest active and valid memory with exactly this text, and locks it.
--
-- Called by: write::write, after lock_same.sql, for a memory that is known by its text alone.
-- Index: sources_by_owner.
-- If the new memory is to be shared ($2), only a memory that is shared with the same people is the
-- same.
SELECT s.source_id, s.owner_id, s.visibility, s.persona
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_kind = 'memory' AND s.owner_id = current_setting('pgrecall.owner')
  AND s.body_hash = hashtextextended($1, 0) AND s.body = $1 AND s.status = 'active'
  AND ($2 = 'private' OR (s.visibility = $2 AND ($2 = 'tenant' OR s.persona = current_setting('pgrecall.persona'))))
  AND (s.valid_from IS NULL OR s.valid_from <= clock_timestamp()) AND (s.valid_to IS NULL OR s.valid_to > clock_timestamp())
ORDER BY s.id DESC
LIMIT 1
FOR UPDATE OF s
