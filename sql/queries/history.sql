-- Returns a record with its predecessors and successors, itself first and then the newest.
--
-- Called by: review::history. Indexes: sources_by_id, sources_by_successor.
-- Returns at most 100 records. UNION without ALL ends the recursion when a chain is a cycle, which
-- only an import can create.
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
