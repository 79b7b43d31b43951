SELECT DISTINCT s.id, s.words
FROM labels lead
JOIN sources s ON s.id = lead.source
WHERE lead.tenant_id = current_setting('pgrecall.tenant') AND lead.source_kind = ANY ($1::text[])
  AND lead.label = ANY (CASE WHEN cardinality($2::text[]) > 0 THEN ($2::text[])[1:1] ELSE $3::text[] END)
  AND {filter}
