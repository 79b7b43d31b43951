-- Says of records that they are still true, doubtful, or put away.
--
-- Called by: correct::set_status. Index: sources_by_id. What is superseded stays so, with what replaced it, unless it is brought back; then it
-- is no longer over, if that was what ended it. What is verified was looked at now.
UPDATE sources s SET
    status = $2, superseded_by = NULL, updated_at = clock_timestamp(),
    valid_to = CASE WHEN s.ended_by_successor
                      OR s.valid_to = (SELECT o.valid_from FROM sources o WHERE o.tenant_id = s.tenant_id AND o.source_id = s.superseded_by)
                    THEN NULL ELSE s.valid_to END,
    ended_by_successor = false,
    last_verified = CASE WHEN $3::bool THEN clock_timestamp() ELSE s.last_verified END
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = ANY ($1::uuid[])
  AND (s.status <> 'superseded' OR ($2 = 'active' AND NOT $3::bool))
RETURNING s.source_id
