-- Revokes a tenant's keys of this name, replaced ones in their grace period included, or, if none has that name, the key of this number.
-- Returns their numbers.
--
-- Called by: keys::revoke.
UPDATE api_keys SET revoked_at = clock_timestamp()
WHERE tenant_id = current_setting('pgrecall.tenant') AND revoked_at IS NULL
  AND (name = $1
       OR (id::text = $1
           AND NOT EXISTS (SELECT FROM api_keys
                           WHERE tenant_id = current_setting('pgrecall.tenant') AND revoked_at IS NULL AND name = $1)))
RETURNING id
