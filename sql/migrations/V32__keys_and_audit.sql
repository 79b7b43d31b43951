-- API keys, the audit log, and the identity of this installation.

-- What is kept of a key is its hash: nobody who reads this table can call a tool.
CREATE TABLE api_keys (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    text NOT NULL CHECK (tenant_id <> ''),
    name         text NOT NULL CHECK (name <> ''),
    -- SHA-256. A key is 244 random bits: there is nothing to guess, and so nothing to slow down.
    key_hash     bytea NOT NULL UNIQUE,
    owner_id     text NOT NULL CHECK (owner_id <> ''),
    persona      text,
    scopes       text[] NOT NULL CHECK (scopes <@ ARRAY['read', 'write', 'admin'] AND cardinality(scopes) > 0),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    -- When a rotation replaced it. It stays valid until it expires at the end of its grace period.
    replaced_at  timestamptz,
    CONSTRAINT a_persona_has_a_name CHECK (btrim(persona) <> '')
);
-- A name stands for one key of a tenant at a time, which is neither revoked nor replaced.
CREATE UNIQUE INDEX api_keys_name ON api_keys (tenant_id, name) WHERE revoked_at IS NULL AND replaced_at IS NULL;

-- Who called what, and how it ended. Texts are not kept: of the arguments only their names, kinds and lengths.
CREATE TABLE audit_log (
    at         timestamptz NOT NULL,
    tenant_id  text NOT NULL,
    caller     text NOT NULL,
    tool       text NOT NULL,
    outcome    text NOT NULL,
    took_ms    real NOT NULL,
    arguments  jsonb NOT NULL,
    -- An entry that is written twice, after a spill or after a commit whose answer was lost, is stored once.
    entry_id   uuid,
    -- The records that the call touched.
    record_ids uuid[] NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_by_tenant ON audit_log (tenant_id, at);
CREATE INDEX audit_log_by_time ON audit_log USING brin (at);
CREATE UNIQUE INDEX audit_log_by_entry ON audit_log (entry_id);

-- Deletes at most 5,000 entries that are older than the retention, never one of the last seven days. Returns whether there may be more. No role that a
-- program works under may delete an entry.
CREATE FUNCTION drop_old_audit(retention_days int) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER SET search_path = pgrecall, pg_temp
AS $$
    WITH dropped AS (
        DELETE FROM audit_log WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM audit_log WHERE at < now() - greatest(retention_days, 7) * interval '1 day' LIMIT 5000))
        RETURNING 1)
    SELECT count(*) = 5000 FROM dropped
$$;

-- Which installation this database is. A backup carries the id, and a restore tells by it whether the API keys in the backup were issued by the
-- database that it replaces. The secret encrypts and authenticates cursors: every server of the installation has the same.
CREATE TABLE installation (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    id      uuid NOT NULL DEFAULT gen_random_uuid(),
    secret  bytea NOT NULL CHECK (octet_length(secret) = 32)
);
INSERT INTO installation (secret)
VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
