-- Records: what was written, and the passages that are searched. Also what is kept of a record that was forgotten or replaced.
--
-- All kinds of record share the table `sources`. A recall filters candidates of every kind by the same columns, and one table makes that one
-- join; the columns that only memories have are NULL elsewhere, and a constraint says whose they are.

CREATE TABLE sources (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id     text NOT NULL CHECK (tenant_id <> ''),
    source_kind   text NOT NULL
                  CHECK (source_kind IN ('memory', 'document', 'asset', 'prompt', 'tool', 'api_operation')),
    -- The public id, unique in the tenant whatever the kind.
    source_id     uuid NOT NULL,
    collection    text NOT NULL DEFAULT '',
    key           text,
    owner_id      text NOT NULL CHECK (owner_id <> ''),
    persona       text,
    visibility    text NOT NULL CHECK (visibility IN ('private', 'persona', 'tenant')),
    title         text NOT NULL,
    body          text NOT NULL,
    format        text NOT NULL CHECK (format IN ('plain', 'markdown')),
    uri           text,
    metadata      jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
    tags          text[] NOT NULL,
    entity_urns   text[] NOT NULL,
    session       text,
    content_hash  bytea NOT NULL CHECK (octet_length(content_hash) = 32),
    words         int NOT NULL CHECK (words >= 0),
    dimension     text CHECK (dimension IN ('knowledge', 'event', 'entity', 'relationship', 'preference')),
    category      text,
    confidence    real CHECK (confidence BETWEEN 0 AND 1),
    origin        text,
    status        text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'stale', 'superseded', 'archived')),
    -- The record that replaced it. One that several records were merged into finds its predecessors by this column.
    superseded_by uuid,
    valid_from    timestamptz,
    valid_to      timestamptz,
    last_verified timestamptz,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- What a fetch adds to the text, and nobody searches: the schema of an API operation, the input of a tool, the arguments of a prompt.
    details       jsonb CHECK (jsonb_typeof(details) = 'object'),
    -- Finds the same text by the same owner.
    body_hash     bigint NOT NULL GENERATED ALWAYS AS (hashtextextended(body, 0)) STORED,
    -- The end of validity that the record had before its successor ended it. A restored record gets it back; `infinity` means that it had none.
    own_valid_to  timestamptz,
    -- Who wrote the present text, if not the owner.
    written_by    text CHECK (written_by <> ''),
    CONSTRAINT only_memories_have_these CHECK (
        source_kind = 'memory' OR (dimension IS NULL AND category IS NULL AND confidence IS NULL)),
    CONSTRAINT a_persona_is_named CHECK (visibility <> 'persona' OR persona IS NOT NULL),
    CONSTRAINT superseded_says_by_what CHECK ((status = 'superseded') = (superseded_by IS NOT NULL)),
    CONSTRAINT validity_runs_forward CHECK (valid_to >= valid_from)
);

CREATE UNIQUE INDEX sources_by_id ON sources (tenant_id, source_id);
-- A key names one record among those that the same people see: a private record takes no key from anybody else. Three indexes on plain columns
-- instead of one on a function, which is not leakproof and under row-level security could not begin the search.
CREATE UNIQUE INDEX sources_by_tenant_key ON sources (tenant_id, source_kind, collection, key)
    WHERE key IS NOT NULL AND visibility = 'tenant';
CREATE UNIQUE INDEX sources_by_persona_key ON sources (tenant_id, source_kind, collection, key, persona)
    WHERE key IS NOT NULL AND visibility = 'persona';
CREATE UNIQUE INDEX sources_by_owner_key ON sources (tenant_id, source_kind, collection, key, owner_id)
    WHERE key IS NOT NULL AND visibility = 'private';
-- The neighbors of a turn in its session are the rows next to it here.
CREATE INDEX sources_by_session ON sources (tenant_id, session, id) WHERE session IS NOT NULL;
-- Lists the newest records of a tenant, and counts a corpus without reading the table.
CREATE INDEX sources_by_kind ON sources (tenant_id, source_kind, id) INCLUDE (words);
-- What a caller may see, its own records and those that are shared, is counted and scored without reading others' records.
CREATE INDEX sources_by_owner ON sources (tenant_id, source_kind, owner_id, body_hash) INCLUDE (visibility, persona);
CREATE INDEX sources_by_visibility ON sources (tenant_id, source_kind, visibility, persona) INCLUDE (owner_id) WHERE visibility <> 'private';
CREATE INDEX sources_by_successor ON sources (tenant_id, superseded_by) WHERE superseded_by IS NOT NULL;
-- Filters by time, and by a status that few records have.
CREATE INDEX sources_by_creation ON sources (tenant_id, source_kind, created_at);
CREATE INDEX sources_by_change ON sources (tenant_id, source_kind, updated_at);
CREATE INDEX sources_by_status ON sources (tenant_id, source_kind, status) WHERE status <> 'active';

-- Who reads a record, in one text: empty for the whole tenant, `persona NAME`, or `owner NAME`. It stands next to each row that holds a user's text or
-- data derived from it, since looking up the source of thousands of rows would double the time of a recall.
CREATE FUNCTION audience(visibility text, persona text, owner_id text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE visibility WHEN 'tenant' THEN '' WHEN 'persona' THEN 'persona ' || persona ELSE 'owner ' || owner_id END
$$;

-- Whether the caller may read a record, by the policy of `sources`. The body is bound to the table when the function is created, not looked up by name.
-- Policies call it for rows whose audience is NULL only: those that an older program wrote, until the reconciler has come by.
CREATE FUNCTION may_read(source bigint) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN EXISTS (SELECT FROM sources s WHERE s.id = may_read.source);

CREATE TABLE passages (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source        bigint NOT NULL REFERENCES sources ON DELETE CASCADE,
    tenant_id     text NOT NULL,
    source_kind   text NOT NULL,
    ordinal       int NOT NULL CHECK (ordinal >= 0),
    heading       text NOT NULL,
    text          text NOT NULL,
    -- Of the text that is embedded: title, heading and text. A vector holds for a passage while their hashes are the same.
    text_hash     bytea NOT NULL CHECK (octet_length(text_hash) = 32),
    audience      text,
    -- The owner of a record that a persona shares, who reads it without the persona as well.
    persona_owner text,
    UNIQUE (source, ordinal)
);
CREATE INDEX passages_by_kind ON passages (tenant_id, source_kind) INCLUDE (id);

-- Records that were forgotten and may still be restored: the record as it was exported, and nothing that a recall finds.
CREATE TABLE forgotten_sources (
    tenant_id    text NOT NULL,
    source_id    uuid NOT NULL,
    owner_id     text NOT NULL,
    persona      text,
    visibility   text NOT NULL,
    record       jsonb NOT NULL,
    forgotten_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    written_by   text,
    PRIMARY KEY (tenant_id, source_id)
);
CREATE INDEX forgotten_by_time ON forgotten_sources (forgotten_at);

-- What a record said before somebody other than its writer replaced it, and who that was.
CREATE TABLE source_versions (
    tenant_id   text NOT NULL,
    version_id  uuid NOT NULL,
    source_id   uuid NOT NULL,
    owner_id    text NOT NULL,
    persona     text,
    visibility  text NOT NULL,
    record      jsonb NOT NULL,
    written_by  text NOT NULL,
    replaced_by text NOT NULL,
    replaced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, version_id)
);
CREATE INDEX versions_by_source ON source_versions (tenant_id, source_id, replaced_at);
CREATE INDEX versions_by_time ON source_versions (replaced_at);
