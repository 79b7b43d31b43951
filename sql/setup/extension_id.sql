-- The object id of pgvector's extension. No row: this database does not have it.
--
-- Called by: pgrecall_runtime::embedded::extension, when the server of a private database was started, and backup::dump.
SELECT oid::int8 AS id FROM pg_extension WHERE extname = 'vector'
