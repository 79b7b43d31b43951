-- Deletes the rows of files that no longer exist.
--
-- Called by: files::forget, after their sources were forgotten. Index: ingested_files_pkey.
-- The rows of file_sources go with them (ON DELETE CASCADE).
DELETE FROM ingested_files
WHERE id = ANY ($1::int8[])
      AND tenant_id = current_setting('pgrecall.tenant') AND owner_id = current_setting('pgrecall.owner')
