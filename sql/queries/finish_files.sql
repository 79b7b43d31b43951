-- Notes that files were read to their ends, and how many sources each holds.
--
-- Called by: files::mark, last in the transaction of a file's last records. Index: the primary key. The rows are locked by mark_files.sql.
UPDATE ingested_files f SET sources = m.sources
FROM unnest($1::int8[], $2::int4[]) AS m (file, sources)
WHERE f.id = m.file
