-- A record, what it replaced, what that had replaced, and what has replaced it since, the oldest first.
--
-- Called by: review::history. Indexes: sources_by_id, sources_by_successor. UNION ends where a chain comes back to where it was, which only an import
-- can make.
WITH RECURSIVE linked AS (
    SELECT s.id, s.source_id, s.superseded_by FROM sources s
    WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = $1
    UNION
    SELECT s.id, s.source_id, s.superseded_by
    FROM linked
    JOIN sources s ON s.tenant_id = current_setting('pgrecall.tenant')
                  AND (s.source_id = linked.superseded_by OR s.superseded_by = linked.source_id))
SELECT {hit}, s.body AS text, '' AS heading
FROM linked JOIN sources s ON s.id = linked.id
ORDER BY coalesce(s.valid_from, s.created_at), s.id
LIMIT 100
