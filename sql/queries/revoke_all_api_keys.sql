-- Revokes every API key of every tenant.
--
-- Called by: backup::restore, on the restored database, as a login to which no policy applies:
-- another installation issued those keys.
UPDATE api_keys SET revoked_at = clock_timestamp() WHERE revoked_at IS NULL
