-- Creates the API key that replaces another one ($1).
--
-- Called by: keys::rotate, after retire_api_key.sql. Index: api_keys_pkey.
-- Keeps name, owner, persona and scopes; has its own secret ($2, as a hash) and expiry ($3,
-- seconds). The statement names the tenant, and row-level security enforces it too.
INSERT INTO api_keys (tenant_id, name, key_hash, owner_id, persona, scopes, expires_at)
SELECT tenant_id, name, $2::bytea, owner_id, persona, scopes, clock_timestamp() + $3::float8 * interval '1 second'
FROM api_keys WHERE tenant_id = current_setting('pgrecall.tenant') AND id = $1
RETURNING id, name, expires_at
