-- Requires that a source has one of several labels.
--
-- Used by: the placeholder `labels` of filter.sql, if the filter has alternatives. Index:
-- labels_pkey.
AND EXISTS (SELECT FROM labels l WHERE l.tenant_id = s.tenant_id AND l.source_kind = s.source_kind
                                   AND l.label = ANY ($3::text[]) AND l.source = s.id)
