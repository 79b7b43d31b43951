-- Stores that files were read to their end, and how many sources each holds.
--
-- Called by: files::mark, last in the transaction of a file's last records. Index:
-- ingested_files_pkey.
-- mark_files.sql has locked the rows.
UPDATE ingested_files f SET sources = m.sources
FROM unnest($1::int8[], $2::int4[]) AS m (file, sources)
WHERE f.id = m.file
