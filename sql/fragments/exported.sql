-- Builds a whole record as one JSON object.
--
-- Used by: the statements that export, read or keep records.
-- Empty fields are left out, except the text and the details.
(SELECT jsonb_object_agg(key, value) FROM jsonb_each(jsonb_build_object(
           '_id', s.key, 'id', s.source_id, 'key', s.key, 'kind', s.source_kind, 'text', s.body, 'format', s.format, 'visibility', s.visibility,
           'persona', s.persona, {stored_fields}, 'status', s.status, 'superseded_by', s.superseded_by, 'valid_from', s.valid_from,
           'valid_to', s.valid_to, 'last_verified', s.last_verified, 'created_at', s.created_at, 'updated_at', s.updated_at, 'details', s.details))
        WHERE value NOT IN ('null', '""', '[]', '{}') OR key IN ('text', 'details'))
