-- Lists the names of the API keys of every tenant that can be used.
--
-- Called by: backup::restore, on the restored database, as a login to which no policy applies.
SELECT name FROM api_keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp()) ORDER BY tenant_id, name
