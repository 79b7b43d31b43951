-- Lists the records of files that have an open or parked job.
--
-- Called by: files::waiting, for some hundred files at a time. Indexes: the unique one of
-- ingested_files, file_sources_pkey, index_jobs_unit, sources_pkey.
SELECT s.source_id
FROM unnest($1::text[], $2::text[], $3::uuid[]) AS wanted (path, collection, version)
JOIN ingested_files f USING (path, collection, version)
JOIN file_sources h ON h.file = f.id AND h.version = f.version
JOIN index_jobs j ON j.source = h.source AND (j.status <> 'failed' OR j.next_run_at < 'infinity')
JOIN sources s ON s.id = h.source
WHERE f.tenant_id = current_setting('pgrecall.tenant') AND f.owner_id = current_setting('pgrecall.owner')
