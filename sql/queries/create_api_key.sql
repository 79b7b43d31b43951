-- Creates an API key.
--
-- Called by: keys::create. Index: api_keys_name.
-- No row: the tenant has a key with this name that is neither revoked nor replaced.
INSERT INTO api_keys (tenant_id, name, key_hash, owner_id, persona, scopes, expires_at)
VALUES (current_setting('pgrecall.tenant'), $1, $2::bytea, current_setting('pgrecall.owner'), nullif(current_setting('pgrecall.persona'), ''),
        $3::text[], clock_timestamp() + $4::float8 * interval '1 second')
ON CONFLICT (tenant_id, name) WHERE revoked_at IS NULL AND replaced_at IS NULL DO NOTHING
RETURNING id, expires_at
