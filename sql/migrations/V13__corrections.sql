-- Memories that can be corrected, and records that carry more than their text.

-- What a fetch adds to a record's text, and nobody searches: the schema of an API operation, the input of a tool, the arguments of a prompt.
ALTER TABLE sources ADD COLUMN details jsonb CHECK (jsonb_typeof(details) = 'object');

-- One that several records were merged into has several predecessors: they say what replaced them, and it asks for them here.
ALTER TABLE sources DROP COLUMN supersedes;
CREATE INDEX sources_by_successor ON sources (tenant_id, superseded_by) WHERE superseded_by IS NOT NULL;

-- An id names one record of a tenant, whatever its kind.
DROP INDEX sources_by_id;
CREATE UNIQUE INDEX sources_by_id ON sources (tenant_id, source_id);

-- A key names one record among those that the same people see: what somebody keeps private takes no key from anybody else.
CREATE FUNCTION audience(visibility text, persona text, owner_id text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE visibility WHEN 'tenant' THEN '' WHEN 'persona' THEN 'persona ' || persona ELSE 'owner ' || owner_id END
$$;
DROP INDEX sources_by_key;
CREATE UNIQUE INDEX sources_by_key ON sources (tenant_id, source_kind, collection, key, audience(visibility, persona, owner_id))
    WHERE key IS NOT NULL;

-- What a caller may see is counted, and scored when it is little, without reading what it may not: its own records, and those that are shared.
-- The same text by the same owner is found by its hash.
ALTER TABLE sources ADD COLUMN body_hash bigint NOT NULL GENERATED ALWAYS AS (hashtextextended(body, 0)) STORED;
CREATE INDEX sources_by_owner ON sources (tenant_id, source_kind, owner_id, body_hash) INCLUDE (visibility, persona);
CREATE INDEX sources_by_visibility ON sources (tenant_id, source_kind, visibility, persona) INCLUDE (owner_id) WHERE visibility <> 'private';

-- The newest records of a tenant are listed without reading another's.
DROP INDEX sources_by_kind;
CREATE INDEX sources_by_kind ON sources (tenant_id, source_kind, id) INCLUDE (words);

-- A category is asked for as any label is. A long one is known by its hash, as labels.rs makes it.
ALTER TABLE sources NO FORCE ROW LEVEL SECURITY;
ALTER TABLE labels NO FORCE ROW LEVEL SECURITY;
INSERT INTO labels (tenant_id, source_kind, label, source)
SELECT s.tenant_id, s.source_kind,
       CASE WHEN octet_length(l.label) <= 200 THEN l.label
            ELSE 'sha256=' || encode(sha256(set_byte(set_byte('\x0000000000000000', 0, octet_length(l.label) & 255), 1, octet_length(l.label) >> 8)
                                            || convert_to(l.label, 'UTF8')), 'hex') END, s.id
FROM sources s
CROSS JOIN LATERAL (SELECT 'category=' || s.category AS label) AS l
WHERE s.category IS NOT NULL;
ALTER TABLE labels FORCE ROW LEVEL SECURITY;
ALTER TABLE sources FORCE ROW LEVEL SECURITY;

-- A filter by time or by a rare status begins where its records are. Most records are active, and need no entry.
CREATE INDEX sources_by_creation ON sources (tenant_id, source_kind, created_at);
CREATE INDEX sources_by_change ON sources (tenant_id, source_kind, updated_at);
CREATE INDEX sources_by_status ON sources (tenant_id, source_kind, status) WHERE status <> 'active';

-- What was forgotten and may still be brought back: the record as it was exported, and nothing that can be recalled.
CREATE TABLE forgotten_sources (
    tenant_id    text NOT NULL,
    source_id    uuid NOT NULL,
    owner_id     text NOT NULL,
    persona      text,
    visibility   text NOT NULL,
    record       jsonb NOT NULL,
    forgotten_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, source_id)
);
CREATE INDEX forgotten_by_time ON forgotten_sources (forgotten_at);

ALTER TABLE forgotten_sources ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant_and_visible ON forgotten_sources TO pgrecall_server
    USING (tenant_id = current_setting('pgrecall.tenant')
           AND (visibility = 'tenant'
                OR owner_id = current_setting('pgrecall.owner')
                OR (visibility = 'persona' AND persona = current_setting('pgrecall.persona'))));
CREATE POLICY every_tenant ON forgotten_sources TO pgrecall_worker USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON forgotten_sources TO pgrecall_server;
GRANT SELECT, DELETE ON forgotten_sources TO pgrecall_worker;
