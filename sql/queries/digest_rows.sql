-- How many rows a table has, and a sum over the hashes of their text, which no order changes.
--
-- Called by: backup::facts, with each table's name, before and after an upgrade. Reads the whole table. MD5 is the same in every version of Postgres,
-- which its own hash functions need not be.
SELECT count(*) AS rows, coalesce(sum(('x' || left(md5(t::text), 15))::bit(60)::int8::numeric), 0)::text AS digest FROM {table} t
