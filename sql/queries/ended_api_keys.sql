-- The API keys that were revoked, or that end, of every tenant.
--
-- Called by: backup::restore on the database that is replaced, as a login that no policy concerns.
SELECT key_hash, revoked_at::text AS revoked_at, expires_at::text AS expires_at FROM api_keys
WHERE revoked_at IS NOT NULL OR expires_at IS NOT NULL
