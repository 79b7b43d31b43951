-- The API keys that can be used, of every tenant.
--
-- Called by: backup::restore, as a login that no policy concerns.
SELECT name FROM api_keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp()) ORDER BY tenant_id, name
