-- Marks one of a tenant's API keys as replaced, by its name or else by its number.
--
-- Called by: keys::rotate, before replace_api_key.sql in the same transaction.
-- The key ends after its grace period ($2, seconds), or at once if that is 0. No row: there is no
-- such key. Of two concurrent rotations, the second waits for the row and then finds it replaced.
UPDATE api_keys SET
    replaced_at = clock_timestamp(),
    expires_at = least(expires_at, clock_timestamp() + $2::float8 * interval '1 second'),
    revoked_at = CASE WHEN $2::float8 = 0 THEN clock_timestamp() END
WHERE replaced_at IS NULL AND revoked_at IS NULL
  AND id = (SELECT id FROM api_keys
            WHERE tenant_id = current_setting('pgrecall.tenant') AND revoked_at IS NULL AND replaced_at IS NULL
              AND (name = $1 OR id::text = $1)
            ORDER BY name = $1 DESC LIMIT 1)
RETURNING id, expires_at
