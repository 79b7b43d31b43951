-- Makes the key that takes the place of another one ($1): the same name, owner, persona and scopes, a secret ($2) and an end ($3, seconds) of its own.
--
-- Called by: keys::rotate, after retire_api_key.sql. Index: api_keys_pkey. The tenant is stated, and row-level security holds it.
INSERT INTO api_keys (tenant_id, name, key_hash, owner_id, persona, scopes, expires_at)
SELECT tenant_id, name, $2::bytea, owner_id, persona, scopes, clock_timestamp() + $3::float8 * interval '1 second'
FROM api_keys WHERE tenant_id = current_setting('pgrecall.tenant') AND id = $1
RETURNING id, name, expires_at
