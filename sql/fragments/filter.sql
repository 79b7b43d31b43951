s.tenant_id = current_setting('pgrecall.tenant') AND s.source_kind = ANY ($1::text[]) {labels} {fields}
  AND ($5::bool OR s.status = 'active'
       OR (s.status = 'superseded' AND ($4::timestamptz IS NOT NULL OR s.valid_to > clock_timestamp())))
  AND (($5::bool AND $4::timestamptz IS NULL)
       OR ((s.valid_from IS NULL OR s.valid_from <= coalesce($4::timestamptz, clock_timestamp()))
           AND (s.valid_to IS NULL OR s.valid_to > coalesce($4::timestamptz, clock_timestamp()))))
