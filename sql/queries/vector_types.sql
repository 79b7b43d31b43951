-- Returns the OIDs of pgvector's types.
--
-- Called by: db::Db::open, once. Vectors are sent in binary, and a type of an extension has no
-- fixed OID.
SELECT t.oid, t.typarray AS array_oid, n.nspname::text AS schema
FROM pg_extension e
JOIN pg_type t ON t.typnamespace = e.extnamespace AND t.typname = 'halfvec'
JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'vector'
