-- How many rows a table has.
--
-- Called by: backup::facts, with each table's name. Reads the whole table: a backup does as well.
SELECT count(*) AS rows FROM {table}
