-- Returns whole versions by their ids, oldest first.
--
-- Called by: versions::read. Index: source_versions_pkey.
-- Leaves out versions older than $2 seconds. Oldest first: of two versions of one record, the newer
-- is written last and stays.
SELECT v.version_id, v.owner_id, v.persona, nullif(v.written_by, v.owner_id) AS written_by, v.record::text AS line
FROM source_versions v
WHERE v.tenant_id = current_setting('pgrecall.tenant') AND v.version_id = ANY ($1::uuid[])
  AND v.replaced_at > clock_timestamp() - $2::float8 * interval '1 second'
ORDER BY v.replaced_at
