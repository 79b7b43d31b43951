-- Sets the status of records to active, stale or archived, and stamps a verification ($3).
--
-- Called by: correct::set_status. Index: sources_by_id.
-- A superseded record stays superseded, unless it is restored to active. It then gets back the end
-- that it had before its successor ended it (own_valid_to). An import does not store that end: the
-- record then has none if its end is the start of its successor.
UPDATE sources s SET
    status = $2, superseded_by = NULL, updated_at = clock_timestamp(),
    valid_to = CASE WHEN s.status <> 'superseded' THEN s.valid_to
                    WHEN s.own_valid_to IS NOT NULL THEN nullif(s.own_valid_to, 'infinity')
                    WHEN s.valid_to = (SELECT greatest(s.valid_from, o.valid_from) FROM sources o WHERE o.tenant_id = s.tenant_id AND o.source_id = s.superseded_by) THEN NULL
                    ELSE s.valid_to END,
    own_valid_to = NULL,
    last_verified = CASE WHEN $3::bool THEN clock_timestamp() ELSE s.last_verified END
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = ANY ($1::uuid[])
  AND (s.status <> 'superseded' OR ($2 = 'active' AND NOT $3::bool))
RETURNING s.source_id
