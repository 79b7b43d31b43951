-- Selects the sources of a search set, starting at several alternative labels.
--
-- Used by: the placeholder `search_set`, if the filter has alternatives and no required label. Index:
-- labels_pkey.
-- DISTINCT: a source may have several of the labels.
SELECT DISTINCT s.id, s.words
FROM labels lead
JOIN sources s ON s.id = lead.source
WHERE lead.tenant_id = current_setting('pgrecall.tenant') AND lead.source_kind = ANY ($1::text[]) AND lead.label = ANY ($3::text[]) AND {filter}
