-- Returns whether the database has a record, a forgotten record or an API key.
--
-- Called by: backup::private::restore, on the database that it replaces, as a login to which no
-- policy applies.
SELECT EXISTS (SELECT FROM sources) OR EXISTS (SELECT FROM forgotten_sources) OR EXISTS (SELECT FROM api_keys) AS used
