-- Returns the server's version as a number: 160014 is 16.14.
--
-- Called by: backup::server_major.
SELECT current_setting('server_version_num')::int8 AS version
