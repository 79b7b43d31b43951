-- Whether somebody has stored something in this database, or made a key to it.
--
-- Called by: backup::restore, as a login that no policy concerns.
SELECT EXISTS (SELECT FROM sources) OR EXISTS (SELECT FROM forgotten_sources) OR EXISTS (SELECT FROM api_keys) AS used
