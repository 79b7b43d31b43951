-- What was forgotten under these ids and is still kept.
--
-- Called by: forget::kept. Index: forgotten_sources_pkey. What is past its time ($2, seconds) is not brought back, even where no worker has
-- dropped it yet.
SELECT f.source_id, f.owner_id, f.persona, f.written_by, f.record::text AS line
FROM forgotten_sources f
WHERE f.tenant_id = current_setting('pgrecall.tenant') AND f.source_id = ANY ($1::uuid[])
  AND f.forgotten_at > clock_timestamp() - $2::float8 * interval '1 second'
ORDER BY f.forgotten_at
