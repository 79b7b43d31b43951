-- Returns the OID of pgvector's extension. No row: this database does not have it.
--
-- Called by: runtime::embedded::extension, after a private server has started, and backup::dump.
SELECT oid::int8 AS id FROM pg_extension WHERE extname = 'vector'
