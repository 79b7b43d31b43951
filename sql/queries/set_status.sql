-- Says of records that they are still true, doubtful, or put away.
--
-- Called by: correct::set_status. Index: sources_by_id. What is active again is no longer superseded, and no longer over; what is verified was
-- looked at now.
UPDATE sources s SET
    status = $2, superseded_by = NULL, updated_at = clock_timestamp(),
    valid_to = CASE WHEN s.status = 'superseded' THEN NULL ELSE s.valid_to END,
    last_verified = CASE WHEN $3::bool THEN clock_timestamp() ELSE s.last_verified END
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = ANY ($1::uuid[])
RETURNING s.source_id
