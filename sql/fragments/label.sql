-- Requires that a source has one label of a list.
--
-- Used by: the placeholder `labels` of filter.sql, once per label. Index: labels_pkey.
-- One condition per label: under row-level security only leakproof operators can use an index, and
-- `=` is one (decision 4).
AND EXISTS (SELECT FROM labels l WHERE l.tenant_id = s.tenant_id AND l.source_kind = s.source_kind
                                   AND l.label = ($2::text[])[{place}] AND l.source = s.id)
