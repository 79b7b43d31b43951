-- Makes the next ingest read other files again that hold a source of these files.
--
-- Called by: files::forget. Indexes: file_sources_pkey, file_sources_by_source.
-- The stored content of a shared source may have come from the file that is gone.
UPDATE ingested_files f SET sources = NULL
WHERE f.tenant_id = current_setting('pgrecall.tenant') AND f.id <> ALL ($1::int8[])
  AND f.id IN (SELECT other.file FROM file_sources gone JOIN file_sources other USING (source)
               WHERE gone.file = ANY ($1::int8[]) AND other.version = f.version)
