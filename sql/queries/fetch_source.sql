-- One whole source by its public id.
--
-- Called by: read::fetch. Index: sources_by_id.
SELECT s.id, s.source_id, s.source_kind, s.collection, s.key, s.title, s.uri, s.metadata, s.tags, s.entity_urns, s.dimension,
       s.category, s.confidence, s.origin, s.status, s.created_at, s.updated_at, s.valid_from, s.valid_to,
       s.supersedes, s.superseded_by, s.body AS text, '' AS heading
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = $1
LIMIT 1
