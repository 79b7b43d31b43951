-- Has the catalog's functions write each name with its schema, until the end of the transaction.
--
-- Called by: pgrecall_postgres::db::migrate, before catalog.sql.
SET LOCAL search_path = ''
