-- Selects the sources of a search set, starting at the first required label.
--
-- Used by: the placeholder `search_set`, if the filter has required labels. Index: labels_pkey.
-- label_sizes.sql has put the rarest label first.
SELECT s.id, s.words
FROM labels lead
JOIN sources s ON s.id = lead.source
WHERE lead.tenant_id = current_setting('pgrecall.tenant') AND lead.source_kind = ANY ($1::text[]) AND lead.label = ($2::text[])[1] AND {filter}
