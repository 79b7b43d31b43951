-- Revokes a tenant's API keys with this name or, if none has it, the key with this number.
--
-- Called by: keys::revoke. Returns their numbers.
-- The name includes replaced keys in their grace period.
UPDATE api_keys SET revoked_at = clock_timestamp()
WHERE tenant_id = current_setting('pgrecall.tenant') AND revoked_at IS NULL
  AND (name = $1
       OR (id::text = $1
           AND NOT EXISTS (SELECT FROM api_keys
                           WHERE tenant_id = current_setting('pgrecall.tenant') AND revoked_at IS NULL AND name = $1)))
RETURNING id
