-- Returns the API key with this hash if it is valid, and stamps its use once a minute.
--
-- Called by: keys::find, after show_key_hash.sql. Index: api_keys_key_hash_key.
-- The result does not tell an unknown key from an expired or revoked one.
WITH found AS (
    SELECT * FROM api_keys
    WHERE key_hash = $1::bytea AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())),
used AS (
    UPDATE api_keys SET last_used_at = clock_timestamp()
    WHERE id IN (SELECT id FROM found WHERE last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute'))
SELECT id, tenant_id, owner_id, persona, scopes, extract(epoch FROM expires_at - clock_timestamp())::float8 AS expires_in FROM found
