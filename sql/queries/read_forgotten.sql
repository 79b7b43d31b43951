-- Returns the forgotten records with these ids that can still be restored.
--
-- Called by: forget::kept. Index: forgotten_sources_pkey.
-- Leaves out records forgotten more than $2 seconds ago, even if the retainer has not deleted them
-- yet.
SELECT f.source_id, f.owner_id, f.persona, f.written_by, f.record::text AS line
FROM forgotten_sources f
WHERE f.tenant_id = current_setting('pgrecall.tenant') AND f.source_id = ANY ($1::uuid[])
  AND f.forgotten_at > clock_timestamp() - $2::float8 * interval '1 second'
ORDER BY f.forgotten_at
