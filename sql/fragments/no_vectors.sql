-- Stands for the table of vectors while the space has none.
--
-- Used by: coverage.sql and unembedded_of.sql.
(SELECT NULL::int8 AS passage, NULL::bytea AS text_hash WHERE false)
