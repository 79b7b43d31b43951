-- Which of these files are known in just this version, with every source that came of it still there.
--
-- Called by: files::known, for some hundred files at a time. Index: the unique one of ingested_files, and the primary key of file_sources
-- for the count. Locks nothing: a file that changes at this moment is read once more, or once less, than another order would have it.
SELECT wanted.place, f.sources
FROM unnest($1::text[], $2::text[], $3::uuid[]) WITH ORDINALITY AS wanted (path, collection, version, place)
JOIN ingested_files f USING (path, collection, version)
WHERE f.tenant_id = current_setting('pgrecall.tenant') AND f.owner_id = current_setting('pgrecall.owner')
      AND f.sources = (SELECT count(*) FROM file_sources h WHERE h.file = f.id AND h.version = f.version)
