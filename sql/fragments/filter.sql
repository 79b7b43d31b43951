-- Requires the tenant, the kinds, the labels, the fields, the status and the validity of a filter.
--
-- Used by: every statement of a recall or a review that takes a filter.
-- Without `include_stale` ($5), a record must be active, or superseded and still valid. Validity is
-- checked at `as_of` ($4) or now; with `include_stale`, only if `as_of` is given.
s.tenant_id = current_setting('pgrecall.tenant') AND s.source_kind = ANY ($1::text[]) {labels} {fields}
  AND ($5::bool OR s.status = 'active'
       OR (s.status = 'superseded' AND ($4::timestamptz IS NOT NULL OR s.valid_to > clock_timestamp())))
  AND (($5::bool AND $4::timestamptz IS NULL)
       OR ((s.valid_from IS NULL OR s.valid_from <= coalesce($4::timestamptz, clock_timestamp()))
           AND (s.valid_to IS NULL OR s.valid_to > coalesce($4::timestamptz, clock_timestamp()))))
