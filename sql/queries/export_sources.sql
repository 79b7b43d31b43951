-- A page of sources, whole, in the order they were first written.
--
-- Called by: read::export. Index: sources_pkey. What is not set is left out; a null within metadata is a value, and stays.
SELECT s.id, (SELECT jsonb_object_agg(key, value) FROM jsonb_each(jsonb_build_object(
           '_id', s.key, 'id', s.source_id, 'key', s.key, 'kind', s.source_kind, 'collection', nullif(s.collection, ''),
           'title', nullif(s.title, ''), 'text', s.body, 'format', s.format, 'uri', s.uri, 'metadata', nullif(s.metadata, '{}'),
           'tags', nullif(to_jsonb(s.tags), '[]'), 'entity_urns', nullif(to_jsonb(s.entity_urns), '[]'),
           'visibility', s.visibility, 'dimension', s.dimension, 'category', s.category, 'confidence', s.confidence,
           'source', s.origin, 'status', s.status, 'superseded_by', s.superseded_by, 'valid_from', s.valid_from, 'valid_to', s.valid_to,
           'last_verified', s.last_verified, 'created_at', s.created_at, 'updated_at', s.updated_at, 'details', s.details))
        WHERE value <> 'null')::text AS line
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.id > $1::int8
ORDER BY s.id
LIMIT $2::int8
