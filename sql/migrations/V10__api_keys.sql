-- Keys with which callers say who they are. What is kept of a key is its hash: whoever reads this table can call nobody's tools.
CREATE TABLE api_keys (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    text NOT NULL CHECK (tenant_id <> ''),
    name         text NOT NULL CHECK (name <> ''),
    -- SHA-256. A key is 244 bits of chance: there is nothing to guess, and so nothing to slow down.
    key_hash     bytea NOT NULL UNIQUE,
    owner_id     text NOT NULL CHECK (owner_id <> ''),
    persona      text,
    scopes       text[] NOT NULL CHECK (scopes <@ ARRAY['read', 'write', 'admin'] AND cardinality(scopes) > 0),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz
);
-- A name stands for one key of a tenant at a time.
CREATE UNIQUE INDEX api_keys_name ON api_keys (tenant_id, name) WHERE revoked_at IS NULL;

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON api_keys TO pgrecall_server USING (tenant_id = (SELECT current_setting('pgrecall.tenant')));
-- Who is asking is known only when the key was found, whatever its tenant: whoever knows a key's hash may see that one row.
CREATE POLICY by_its_hash ON api_keys FOR SELECT TO pgrecall_server
    USING (key_hash = (SELECT decode(current_setting('pgrecall.key_hash', true), 'hex')));
CREATE POLICY used ON api_keys FOR UPDATE TO pgrecall_server
    USING (key_hash = (SELECT decode(current_setting('pgrecall.key_hash', true), 'hex')));
GRANT SELECT, INSERT, UPDATE (last_used_at, revoked_at) ON api_keys TO pgrecall_server;
