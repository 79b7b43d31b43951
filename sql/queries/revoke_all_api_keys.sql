-- Revokes every API key of every tenant: those who have them were given them by another installation.
--
-- Called by: backup::restore, as a login that no policy concerns.
UPDATE api_keys SET revoked_at = clock_timestamp() WHERE revoked_at IS NULL
