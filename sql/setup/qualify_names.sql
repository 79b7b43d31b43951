-- Makes the catalog's functions write each name with its schema, until the transaction ends.
--
-- Called by: db::migrate, before catalog.sql.
SET LOCAL search_path = ''
