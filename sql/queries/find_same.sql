-- The memory in which the caller has said just this already and which is believed and valid, the newest of several.
--
-- Called by: write::write, after lock_same.sql, for a memory that is remembered. Index: sources_by_owner.
SELECT s.source_id
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_kind = 'memory' AND s.owner_id = current_setting('pgrecall.owner')
  AND s.body_hash = hashtextextended($1, 0) AND s.body = $1 AND s.status = 'active'
  AND (s.valid_from IS NULL OR s.valid_from <= clock_timestamp()) AND (s.valid_to IS NULL OR s.valid_to > clock_timestamp())
ORDER BY s.id DESC
LIMIT 1
FOR UPDATE OF s
