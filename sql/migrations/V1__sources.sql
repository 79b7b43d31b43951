-- Sources and their passages: what was written, and the pieces of it that are searched.
--
-- All kinds of source share one table. A recall filters candidates of every kind by the same columns, and one table makes that one
-- join; the columns that only memories have are NULL elsewhere, which costs nothing, and the checks below say whose they are.

CREATE TABLE sources (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id     text NOT NULL CHECK (tenant_id <> ''),
    source_kind   text NOT NULL
                  CHECK (source_kind IN ('memory', 'document', 'asset', 'prompt', 'tool', 'api_operation')),
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
    supersedes    uuid,
    superseded_by uuid,
    valid_from    timestamptz,
    valid_to      timestamptz,
    last_verified timestamptz,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT only_memories_have_these CHECK (
        source_kind = 'memory' OR (dimension IS NULL AND category IS NULL AND confidence IS NULL)),
    CONSTRAINT a_persona_is_named CHECK (visibility <> 'persona' OR persona IS NOT NULL),
    CONSTRAINT superseded_says_by_what CHECK ((status = 'superseded') = (superseded_by IS NOT NULL)),
    CONSTRAINT validity_runs_forward CHECK (valid_to >= valid_from)
);

CREATE UNIQUE INDEX sources_by_id ON sources (tenant_id, source_kind, source_id);
CREATE UNIQUE INDEX sources_by_key ON sources (tenant_id, source_kind, collection, key) WHERE key IS NOT NULL;
-- A turn's neighbours are the rows next to it here.
CREATE INDEX sources_by_session ON sources (tenant_id, session, id) WHERE session IS NOT NULL;
-- Counts a corpus without reading it: see corpus_size.sql.
CREATE INDEX sources_by_kind ON sources (tenant_id, source_kind) INCLUDE (words);

CREATE TABLE passages (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      bigint NOT NULL REFERENCES sources ON DELETE CASCADE,
    tenant_id   text NOT NULL,
    source_kind text NOT NULL,
    ordinal     int NOT NULL CHECK (ordinal >= 0),
    heading     text NOT NULL,
    text        text NOT NULL,
    -- Of the text that is embedded: title, heading and text. A vector holds for a passage while their hashes are the same.
    text_hash   bytea NOT NULL CHECK (octet_length(text_hash) = 32),
    UNIQUE (source, ordinal)
);
CREATE INDEX passages_by_kind ON passages (tenant_id, source_kind) INCLUDE (id);
