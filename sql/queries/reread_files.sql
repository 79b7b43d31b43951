-- Has those files read again that hold something which these files hold, too: what was read last may not be theirs.
--
-- Called by: files::forget. Indexes: the primary key of file_sources, file_sources_by_source.
UPDATE ingested_files f SET sources = NULL
WHERE f.tenant_id = current_setting('pgrecall.tenant') AND f.id <> ALL ($1::int8[])
  AND f.id IN (SELECT other.file FROM file_sources gone JOIN file_sources other USING (source)
               WHERE gone.file = ANY ($1::int8[]) AND other.version = f.version)
