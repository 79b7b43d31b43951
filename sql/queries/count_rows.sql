-- Counts the rows of a table.
--
-- Called by: backup::facts::count_all and integrity::check, with each table's name.
-- Reads the whole table, as a backup does. Postgres compares each page that it reads with its
-- checksum.
SELECT count(*) AS rows FROM {table}
