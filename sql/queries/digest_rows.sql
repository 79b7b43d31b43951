-- Returns a table's number of rows, and a sum of the hashes of their text.
--
-- Called by: backup::Facts::of, with each table's name, before and after an upgrade. Reads the
-- whole table.
-- The sum does not depend on the order of the rows. MD5 gives the same result in every version of
-- Postgres; Postgres' own hash functions need not.
SELECT count(*) AS rows, coalesce(sum(('x' || left(md5(t::text), 15))::bit(60)::int8::numeric), 0)::text AS digest FROM {table} t
