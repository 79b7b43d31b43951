-- A record, what it replaced, what that had replaced, and what has replaced it since, itself first and then the newest, of which there are a hundred at the most.
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
ORDER BY s.source_id = $1 DESC, coalesce(s.valid_from, s.created_at) DESC, s.id DESC
LIMIT 100
