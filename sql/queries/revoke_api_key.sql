-- Revokes one of a tenant's keys, by its name or, if none has that name, by its number. Returns it, unless there is none.
--
-- Called by: api_keys::revoke.
UPDATE api_keys SET revoked_at = clock_timestamp()
WHERE id = (SELECT id FROM api_keys
            WHERE tenant_id = current_setting('pgrecall.tenant') AND revoked_at IS NULL AND (name = $1 OR id::text = $1)
            ORDER BY name = $1 DESC LIMIT 1)
RETURNING id
