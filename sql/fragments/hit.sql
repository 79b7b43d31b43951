s.id, s.source_id, s.source_kind, s.collection, s.key, s.title, s.uri, s.metadata, s.tags, s.entity_urns, s.dimension, s.category, s.confidence,
       s.origin, s.status, s.created_at, s.updated_at, s.valid_from, s.valid_to, s.last_verified, s.superseded_by,
       ARRAY(SELECT o.source_id FROM sources o WHERE o.tenant_id = s.tenant_id AND o.superseded_by = s.source_id ORDER BY o.id) AS supersedes
