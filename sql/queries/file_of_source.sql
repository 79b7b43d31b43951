-- Returns the path of an ingested file that holds a source, in its present version.
--
-- Called by: files::path_of. Indexes: sources_by_id, file_sources_by_source, ingested_files_pkey.
-- Only the files of the caller: another person's path is nobody's business.
SELECT f.path
FROM sources s
JOIN file_sources h ON h.source = s.id
JOIN ingested_files f ON f.id = h.file AND f.version = h.version
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = $1::uuid AND f.owner_id = current_setting('pgrecall.owner')
LIMIT 1
