-- Requires the fields of a record that a filter names; NULL matches everything.
--
-- Used by: filter.sql, if the filter has such conditions, and why_not.sql.
AND ($8::text IS NULL OR s.owner_id = $8::text)
  AND ($9::text IS NULL OR s.persona = $9::text)
  AND ($10::text IS NULL OR s.visibility = $10::text)
  AND ($11::text IS NULL OR s.status = $11::text)
  AND ($12::timestamptz IS NULL OR s.created_at >= $12::timestamptz)
  AND ($13::timestamptz IS NULL OR s.created_at < $13::timestamptz)
  AND ($14::timestamptz IS NULL OR s.updated_at >= $14::timestamptz)
