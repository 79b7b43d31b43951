-- A key that is rotated is replaced by a new one of the same name, and stays valid until it expires at the end of its grace period.
ALTER TABLE api_keys ADD COLUMN replaced_at timestamptz;
-- A name stands for one key of a tenant at a time, which is neither revoked nor replaced.
DROP INDEX api_keys_name;
CREATE UNIQUE INDEX api_keys_name ON api_keys (tenant_id, name) WHERE revoked_at IS NULL AND replaced_at IS NULL;
GRANT UPDATE (expires_at, replaced_at) ON api_keys TO pgrecall_server;
