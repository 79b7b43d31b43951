-- Removes sources from the files that held them, because a write without files replaced them.
--
-- Called by: files::unlink, in the transaction that replaced the sources. Index:
-- file_sources_by_source.
-- The next ingest then reads these files again.
DELETE FROM file_sources WHERE source = ANY ($1::int8[])
