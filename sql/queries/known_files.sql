-- Returns the files that are known in exactly this version and whose sources all still exist.
--
-- Called by: files::known, for some hundred files at a time.
-- Indexes: the unique one of ingested_files, and file_sources_pkey for the count.
-- Takes no lock: if another run changes a file at this moment, a file may be read once too often,
-- or only by the next run.
SELECT wanted.place, f.sources
FROM unnest($1::text[], $2::text[], $3::uuid[]) WITH ORDINALITY AS wanted (path, collection, version, place)
JOIN ingested_files f USING (path, collection, version)
WHERE f.tenant_id = current_setting('pgrecall.tenant') AND f.owner_id = current_setting('pgrecall.owner')
      AND f.sources = (SELECT count(*) FROM file_sources h WHERE h.file = f.id AND h.version = f.version)
