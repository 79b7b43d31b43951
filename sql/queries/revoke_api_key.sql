-- Revokes a tenant's key, by its name or its number. Returns it, unless there is none.
--
-- Called by: api_keys::revoke.
UPDATE api_keys SET revoked_at = clock_timestamp()
WHERE tenant_id = current_setting('pgrecall.tenant') AND revoked_at IS NULL AND (name = $1 OR id::text = $1)
RETURNING id
