-- Counts the sources that the ingested files at a path or below it hold.
--
-- Called by: files::count_held, before a run that prunes. Indexes: the unique one of
-- ingested_files, and file_sources_pkey.
-- The range is that of files_under.sql.
SELECT count(DISTINCT h.source) AS sources
FROM ingested_files f
JOIN file_sources h ON h.file = f.id
WHERE f.tenant_id = current_setting('pgrecall.tenant') AND f.owner_id = current_setting('pgrecall.owner')
      AND (f.path = $1 OR (f.path >= $2 AND f.path < $3))
