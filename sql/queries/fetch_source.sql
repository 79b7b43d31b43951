-- Returns one whole source by its public id.
--
-- Called by: read::fetch. Index: sources_by_id.
SELECT {hit}, s.body AS text, '' AS heading, s.details
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = $1
LIMIT 1
