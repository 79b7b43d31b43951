-- Takes from files what they held and something that is no file has replaced: they are read again when they are ingested the next time.
--
-- Called by: files::unlink, in the transaction that replaced the sources. Index: file_sources_by_source.
DELETE FROM file_sources WHERE source = ANY ($1::int8[])
