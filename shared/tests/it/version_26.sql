CREATE SCHEMA pgrecall;
ALTER SCHEMA pgrecall OWNER TO pgrecall_owner;
CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;
COMMENT ON EXTENSION vector IS 'vector data type and ivfflat and hnsw access methods';
CREATE DOMAIN pgrecall.job_trigger AS text
	CONSTRAINT job_trigger_check CHECK ((VALUE = ANY (ARRAY['write'::text, 'reconcile'::text, 'rebuild'::text, 'manual'::text])));
ALTER DOMAIN pgrecall.job_trigger OWNER TO pgrecall_owner;
CREATE FUNCTION pgrecall.audience(visibility text, persona text, owner_id text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT CASE visibility WHEN 'tenant' THEN '' WHEN 'persona' THEN 'persona ' || persona ELSE 'owner ' || owner_id END
$$;
ALTER FUNCTION pgrecall.audience(visibility text, persona text, owner_id text) OWNER TO pgrecall_owner;
CREATE FUNCTION pgrecall.drop_old_audit(retention_days integer) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pgrecall', 'pg_temp'
    AS $$
    WITH dropped AS (
        DELETE FROM audit_log WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM audit_log WHERE at < now() - greatest(retention_days, 7) * interval '1 day' LIMIT 5000))
        RETURNING 1)
    SELECT count(*) = 5000 FROM dropped
$$;
ALTER FUNCTION pgrecall.drop_old_audit(retention_days integer) OWNER TO pgrecall_owner;
CREATE FUNCTION pgrecall.drop_retired_spaces(kept interval) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pgrecall', 'pg_temp'
    SET lock_timeout TO '500ms'
    AS $$
DECLARE
    retired int;
    dropped int := 0;
BEGIN
    FOR retired IN
        SELECT id FROM embedding_spaces WHERE state = 'retired' AND retired_at < clock_timestamp() - kept FOR UPDATE SKIP LOCKED
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE IF EXISTS %I', 'vectors_' || retired);
            DELETE FROM embedding_spaces WHERE id = retired;
            dropped := dropped + 1;
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
    RETURN dropped;
END
$$;
ALTER FUNCTION pgrecall.drop_retired_spaces(kept interval) OWNER TO pgrecall_owner;
CREATE FUNCTION pgrecall.make_space(space_id integer, wanted_dimension integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pgrecall', 'pg_temp'
    AS $_$
DECLARE
    vectors text := 'vectors_' || space_id;
    vector_schema text;
BEGIN
    -- Two workers may learn the dimension at once: the second finds the table made.
    PERFORM FROM pgrecall.embedding_spaces WHERE id = space_id AND dimension IS NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT n.nspname INTO STRICT vector_schema
    FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector';
    EXECUTE format($sql$
        CREATE TABLE pgrecall.%1$I (
            passage       bigint PRIMARY KEY REFERENCES pgrecall.passages ON DELETE CASCADE,
            source        bigint NOT NULL,
            tenant_id     text NOT NULL,
            source_kind   text NOT NULL,
            text_hash     bytea NOT NULL,
            embedding     %3$I.halfvec(%2$s) NOT NULL,
            audience      text,
            persona_owner text
        )$sql$, vectors, wanted_dimension, vector_schema);
    EXECUTE format('CREATE INDEX ON pgrecall.%I (source)', vectors);
    IF NOT EXISTS (SELECT FROM pgrecall.embedding_spaces WHERE state = 'active') THEN
        EXECUTE format('CREATE INDEX %I ON pgrecall.%I USING hnsw (embedding %I.halfvec_cosine_ops)', vectors || '_embedding_idx', vectors,
                       vector_schema);
    END IF;
    EXECUTE format('ALTER TABLE pgrecall.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', vectors);
    EXECUTE format($sql$
        CREATE POLICY own_tenant_and_visible ON pgrecall.%I TO pgrecall_server
        USING (tenant_id = (SELECT current_setting('pgrecall.tenant'))
               AND (audience = (SELECT 'owner ' || current_setting('pgrecall.owner'))
                    OR audience = ''
                    OR audience = (SELECT 'persona ' || current_setting('pgrecall.persona'))
                    OR persona_owner = (SELECT current_setting('pgrecall.owner'))
                    OR (audience IS NULL AND pgrecall.may_read(source))))$sql$, vectors);
    EXECUTE format('CREATE POLICY every_tenant ON pgrecall.%I TO pgrecall_worker USING (true) WITH CHECK (true)', vectors);
    -- A caller changes who reads a vector when it shares the record, and nothing else of it.
    EXECUTE format('GRANT SELECT, UPDATE (audience, persona_owner) ON pgrecall.%I TO pgrecall_server', vectors);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON pgrecall.%I TO pgrecall_worker', vectors);
    UPDATE pgrecall.embedding_spaces SET dimension = wanted_dimension WHERE id = space_id;
END
$_$;
ALTER FUNCTION pgrecall.make_space(space_id integer, wanted_dimension integer) OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.sources (
    id bigint NOT NULL,
    tenant_id text NOT NULL,
    source_kind text NOT NULL,
    source_id uuid NOT NULL,
    collection text DEFAULT ''::text NOT NULL,
    key text,
    owner_id text NOT NULL,
    persona text,
    visibility text NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    format text NOT NULL,
    uri text,
    metadata jsonb NOT NULL,
    tags text[] NOT NULL,
    entity_urns text[] NOT NULL,
    session text,
    content_hash bytea NOT NULL,
    words integer NOT NULL,
    dimension text,
    category text,
    confidence real,
    origin text,
    status text DEFAULT 'active'::text NOT NULL,
    superseded_by uuid,
    valid_from timestamp with time zone,
    valid_to timestamp with time zone,
    last_verified timestamp with time zone,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    details jsonb,
    body_hash bigint GENERATED ALWAYS AS (hashtextextended(body, (0)::bigint)) STORED NOT NULL,
    own_valid_to timestamp with time zone,
    written_by text,
    CONSTRAINT a_persona_is_named CHECK (((visibility <> 'persona'::text) OR (persona IS NOT NULL))),
    CONSTRAINT only_memories_have_these CHECK (((source_kind = 'memory'::text) OR ((dimension IS NULL) AND (category IS NULL) AND (confidence IS NULL)))),
    CONSTRAINT sources_confidence_check CHECK (((confidence >= (0)::double precision) AND (confidence <= (1)::double precision))),
    CONSTRAINT sources_content_hash_check CHECK ((octet_length(content_hash) = 32)),
    CONSTRAINT sources_details_check CHECK ((jsonb_typeof(details) = 'object'::text)),
    CONSTRAINT sources_dimension_check CHECK ((dimension = ANY (ARRAY['knowledge'::text, 'event'::text, 'entity'::text, 'relationship'::text, 'preference'::text]))),
    CONSTRAINT sources_format_check CHECK ((format = ANY (ARRAY['plain'::text, 'markdown'::text]))),
    CONSTRAINT sources_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT sources_owner_id_check CHECK ((owner_id <> ''::text)),
    CONSTRAINT sources_source_kind_check CHECK ((source_kind = ANY (ARRAY['memory'::text, 'document'::text, 'asset'::text, 'prompt'::text, 'tool'::text, 'api_operation'::text]))),
    CONSTRAINT sources_status_check CHECK ((status = ANY (ARRAY['active'::text, 'stale'::text, 'superseded'::text, 'archived'::text]))),
    CONSTRAINT sources_tenant_id_check CHECK ((tenant_id <> ''::text)),
    CONSTRAINT sources_visibility_check CHECK ((visibility = ANY (ARRAY['private'::text, 'persona'::text, 'tenant'::text]))),
    CONSTRAINT sources_words_check CHECK ((words >= 0)),
    CONSTRAINT sources_written_by_check CHECK ((written_by <> ''::text)),
    CONSTRAINT superseded_says_by_what CHECK (((status = 'superseded'::text) = (superseded_by IS NOT NULL))),
    CONSTRAINT validity_runs_forward CHECK ((valid_to >= valid_from))
);
ALTER TABLE ONLY pgrecall.sources FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.sources OWNER TO pgrecall_owner;
CREATE FUNCTION pgrecall.may_read(source bigint) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN (EXISTS (SELECT FROM pgrecall.sources s WHERE (s.id = may_read.source)));
ALTER FUNCTION pgrecall.may_read(source bigint) OWNER TO pgrecall_owner;
CREATE FUNCTION pgrecall.parking_time(parked integer) RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN LEAST(('00:30:00'::interval * ((2)::double precision ^ (LEAST(GREATEST((parked - 1), 0), 10))::double precision)), '06:00:00'::interval);
ALTER FUNCTION pgrecall.parking_time(parked integer) OWNER TO pgrecall_owner;
CREATE FUNCTION pgrecall.refresh_planner_statistics() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pgrecall', 'pg_temp'
    AS $_$
DECLARE
    grown text;
BEGIN
    FOR grown IN
        SELECT c.relname FROM pg_class c
        WHERE c.relnamespace = 'pgrecall'::regnamespace AND c.relkind = 'r'
          AND (c.relname IN ('sources', 'passages', 'postings', 'labels') OR c.relname ~ '^vectors_\d+$')
    LOOP
        EXECUTE format('ANALYZE %I', grown);
    END LOOP;
END
$_$;
ALTER FUNCTION pgrecall.refresh_planner_statistics() OWNER TO pgrecall_owner;
CREATE FUNCTION pgrecall.rotate_history(retention_days integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pgrecall', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET lock_timeout TO '500ms'
    AS $_$
DECLARE
    day       date;
    partition text;
    dropped   int := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('pgrecall.rotate_history')) THEN
        RETURN 0;
    END IF;
    FOR day IN SELECT current_date + n FROM generate_series(0, 1) n LOOP
        partition := 'index_job_history_' || to_char(day, 'YYYYMMDD');
        -- Rows that fell into the rest before the partition was made would block it: that day then stays in the rest.
        IF to_regclass(partition) IS NULL
            AND NOT EXISTS (SELECT FROM index_job_history_rest WHERE finished_at >= day AND finished_at < day + 1) THEN
            BEGIN
                EXECUTE format('CREATE TABLE %I PARTITION OF index_job_history FOR VALUES FROM (%L) TO (%L)', partition, day, day + 1);
            EXCEPTION WHEN lock_not_available THEN
                NULL;
            END;
        END IF;
    END LOOP;
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'index_job_history'::regclass AND c.relname ~ '^index_job_history_\d{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < current_date - retention_days
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE %I', partition);
            dropped := dropped + 1;
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
    DELETE FROM index_job_history_rest WHERE finished_at < current_date - retention_days;
    RETURN dropped;
END
$_$;
ALTER FUNCTION pgrecall.rotate_history(retention_days integer) OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.api_keys (
    id bigint NOT NULL,
    tenant_id text NOT NULL,
    name text NOT NULL,
    key_hash bytea NOT NULL,
    owner_id text NOT NULL,
    persona text,
    scopes text[] NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    replaced_at timestamp with time zone,
    CONSTRAINT a_persona_has_a_name CHECK ((btrim(persona) <> ''::text)),
    CONSTRAINT api_keys_name_check CHECK ((name <> ''::text)),
    CONSTRAINT api_keys_owner_id_check CHECK ((owner_id <> ''::text)),
    CONSTRAINT api_keys_scopes_check CHECK (((scopes <@ ARRAY['read'::text, 'write'::text, 'admin'::text]) AND (cardinality(scopes) > 0))),
    CONSTRAINT api_keys_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY pgrecall.api_keys FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.api_keys OWNER TO pgrecall_owner;
ALTER TABLE pgrecall.api_keys ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME pgrecall.api_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE pgrecall.audience_corpora (
    tenant_id text NOT NULL,
    source_kind text NOT NULL,
    audience text NOT NULL,
    sources bigint NOT NULL,
    words bigint NOT NULL
);
ALTER TABLE ONLY pgrecall.audience_corpora FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.audience_corpora OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.audience_words (
    tenant_id text NOT NULL,
    source_kind text NOT NULL,
    term text NOT NULL,
    audience text NOT NULL,
    sources bigint NOT NULL
);
ALTER TABLE ONLY pgrecall.audience_words FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.audience_words OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.audit_log (
    at timestamp with time zone NOT NULL,
    tenant_id text NOT NULL,
    caller text NOT NULL,
    tool text NOT NULL,
    outcome text NOT NULL,
    took_ms real NOT NULL,
    arguments jsonb NOT NULL,
    entry_id uuid,
    record_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL
);
ALTER TABLE ONLY pgrecall.audit_log FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.audit_log OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.corpus_stats (
    tenant_id text NOT NULL,
    source_kind text NOT NULL,
    sources bigint NOT NULL,
    words bigint NOT NULL,
    counted_at timestamp with time zone NOT NULL
);
ALTER TABLE ONLY pgrecall.corpus_stats FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.corpus_stats OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.embedding_spaces (
    id integer NOT NULL,
    provider text NOT NULL,
    url text NOT NULL,
    model text NOT NULL,
    query_prefix text NOT NULL,
    document_prefix text NOT NULL,
    dimension integer,
    state text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    activated_at timestamp with time zone,
    reconciled_to bigint DEFAULT 0 NOT NULL,
    retired_at timestamp with time zone,
    asked_dimension integer DEFAULT 0 NOT NULL,
    tended_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT active_knows_its_dimension CHECK (((state <> ALL (ARRAY['ready'::text, 'active'::text])) OR (dimension IS NOT NULL))),
    CONSTRAINT embedding_spaces_asked_dimension_check CHECK (((asked_dimension >= '-1'::integer) AND (asked_dimension <= 4000))),
    CONSTRAINT embedding_spaces_dimension_check CHECK (((dimension >= 1) AND (dimension <= 4000))),
    CONSTRAINT embedding_spaces_state_check CHECK ((state = ANY (ARRAY['building'::text, 'ready'::text, 'active'::text, 'retired'::text]))),
    CONSTRAINT retired_says_since_when CHECK (((state = 'retired'::text) = (retired_at IS NOT NULL)))
);
ALTER TABLE pgrecall.embedding_spaces OWNER TO pgrecall_owner;
ALTER TABLE pgrecall.embedding_spaces ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME pgrecall.embedding_spaces_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE pgrecall.failures (
    source bigint NOT NULL,
    space integer NOT NULL,
    tenant_id text NOT NULL,
    source_kind text NOT NULL,
    error_class text NOT NULL,
    last_error text NOT NULL,
    occurrences integer NOT NULL,
    first_failed_at timestamp with time zone NOT NULL,
    last_failed_at timestamp with time zone NOT NULL,
    resolved_at timestamp with time zone,
    last_success_at timestamp with time zone,
    dismissed_at timestamp with time zone,
    CONSTRAINT failures_occurrences_check CHECK ((occurrences > 0))
);
ALTER TABLE ONLY pgrecall.failures FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.failures OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.file_sources (
    file bigint NOT NULL,
    source bigint NOT NULL,
    tenant_id text NOT NULL,
    version uuid NOT NULL
);
ALTER TABLE ONLY pgrecall.file_sources FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.file_sources OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.forgotten_sources (
    tenant_id text NOT NULL,
    source_id uuid NOT NULL,
    owner_id text NOT NULL,
    persona text,
    visibility text NOT NULL,
    record jsonb NOT NULL,
    forgotten_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    written_by text
);
ALTER TABLE ONLY pgrecall.forgotten_sources FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.forgotten_sources OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.index_job_history (
    tenant_id text NOT NULL,
    source_kind text NOT NULL,
    sources bigint[] NOT NULL,
    space integer NOT NULL,
    trigger_kind text NOT NULL,
    attempts integer NOT NULL,
    items integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
PARTITION BY RANGE (finished_at);
ALTER TABLE ONLY pgrecall.index_job_history FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.index_job_history OWNER TO pgrecall_owner;
COMMENT ON COLUMN pgrecall.index_job_history.attempts IS 'Tries of all these jobs together.';
COMMENT ON COLUMN pgrecall.index_job_history.created_at IS 'When the one that waited longest was enqueued.';
CREATE TABLE pgrecall.index_job_history_rest (
    tenant_id text NOT NULL,
    source_kind text NOT NULL,
    sources bigint[] NOT NULL,
    space integer NOT NULL,
    trigger_kind text NOT NULL,
    attempts integer NOT NULL,
    items integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE pgrecall.index_job_history_rest OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.index_jobs (
    source bigint NOT NULL,
    order_key timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    space integer NOT NULL,
    items_total integer NOT NULL,
    wanted integer DEFAULT 1 NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    crash_count integer DEFAULT 0 NOT NULL,
    parked integer DEFAULT 0 NOT NULL,
    worker bigint,
    lease_token bigint,
    started_at timestamp with time zone,
    items_done integer DEFAULT 0 NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    forced boolean DEFAULT false NOT NULL,
    next_run_at timestamp with time zone,
    called_at timestamp with time zone,
    trigger_kind pgrecall.job_trigger NOT NULL,
    source_kind text NOT NULL,
    tenant_id text NOT NULL,
    trace_id uuid,
    span_id bigint,
    CONSTRAINT status_tells_the_rest CHECK ((((lease_token IS NULL) = (worker IS NULL)) AND
CASE
    WHEN (lease_token IS NULL) THEN ((status = 'pending'::text) OR (next_run_at IS NOT NULL))
    ELSE (status = 'running'::text)
END))
)
WITH (fillfactor='45', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='500');
ALTER TABLE ONLY pgrecall.index_jobs FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.index_jobs OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.ingested_files (
    id bigint NOT NULL,
    tenant_id text NOT NULL,
    owner_id text NOT NULL,
    path text NOT NULL COLLATE pg_catalog."C",
    collection text NOT NULL,
    version uuid NOT NULL,
    sources integer,
    ingested_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT ingested_files_owner_id_check CHECK ((owner_id <> ''::text)),
    CONSTRAINT ingested_files_sources_check CHECK ((sources >= 0)),
    CONSTRAINT ingested_files_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY pgrecall.ingested_files FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.ingested_files OWNER TO pgrecall_owner;
ALTER TABLE pgrecall.ingested_files ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME pgrecall.ingested_files_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE pgrecall.installation (
    is_only boolean DEFAULT true NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    secret bytea NOT NULL,
    CONSTRAINT installation_is_only_check CHECK (is_only),
    CONSTRAINT installation_secret_check CHECK ((octet_length(secret) = 32))
);
ALTER TABLE pgrecall.installation OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.labels (
    tenant_id text NOT NULL,
    source_kind text NOT NULL,
    label text NOT NULL,
    source bigint NOT NULL,
    audience text,
    persona_owner text
);
ALTER TABLE ONLY pgrecall.labels FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.labels OWNER TO pgrecall_owner;
CREATE SEQUENCE pgrecall.lease_tokens
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE pgrecall.lease_tokens OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.passages (
    id bigint NOT NULL,
    source bigint NOT NULL,
    tenant_id text NOT NULL,
    source_kind text NOT NULL,
    ordinal integer NOT NULL,
    heading text NOT NULL,
    text text NOT NULL,
    text_hash bytea NOT NULL,
    audience text,
    persona_owner text,
    CONSTRAINT passages_ordinal_check CHECK ((ordinal >= 0)),
    CONSTRAINT passages_text_hash_check CHECK ((octet_length(text_hash) = 32))
);
ALTER TABLE ONLY pgrecall.passages FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.passages OWNER TO pgrecall_owner;
ALTER TABLE pgrecall.passages ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME pgrecall.passages_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE pgrecall.postings (
    tenant_id text NOT NULL,
    source_kind text NOT NULL,
    term text NOT NULL,
    source bigint NOT NULL,
    frequency integer NOT NULL,
    length integer NOT NULL,
    ordinals integer[],
    CONSTRAINT postings_frequency_check CHECK ((frequency > 0)),
    CONSTRAINT postings_length_check CHECK ((length >= 0))
);
ALTER TABLE ONLY pgrecall.postings FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.postings OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.refinery_schema_history (
    version integer NOT NULL,
    name character varying(255),
    applied_on character varying(255),
    checksum character varying(255)
);
ALTER TABLE pgrecall.refinery_schema_history OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.source_versions (
    tenant_id text NOT NULL,
    version_id uuid NOT NULL,
    source_id uuid NOT NULL,
    owner_id text NOT NULL,
    persona text,
    visibility text NOT NULL,
    record jsonb NOT NULL,
    written_by text NOT NULL,
    replaced_by text NOT NULL,
    replaced_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE ONLY pgrecall.source_versions FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.source_versions OWNER TO pgrecall_owner;
ALTER TABLE pgrecall.sources ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME pgrecall.sources_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE VIEW pgrecall.triage WITH (security_invoker='true') AS
 SELECT f.tenant_id,
    f.source_kind,
    s.source_id,
    s.key,
    s.title,
    f.space,
    f.error_class,
    f.last_error,
    f.occurrences,
    COALESCE(j.attempts, 0) AS attempts,
    COALESCE(j.crash_count, 0) AS crash_count,
    f.first_failed_at,
    f.last_failed_at,
    f.last_success_at,
    f.resolved_at,
    f.dismissed_at,
        CASE
            WHEN (j.status = 'failed'::text) THEN NULLIF(j.next_run_at, 'infinity'::timestamp with time zone)
            ELSE NULL::timestamp with time zone
        END AS parked_until,
        CASE
            WHEN (j.status = 'pending'::text) THEN j.next_run_at
            ELSE NULL::timestamp with time zone
        END AS retry_at,
        CASE
            WHEN (f.resolved_at IS NOT NULL) THEN 'resolved'::text
            WHEN (f.dismissed_at IS NOT NULL) THEN 'dismissed'::text
            WHEN (j.status = 'failed'::text) THEN 'parked'::text
            ELSE 'retrying'::text
        END AS state,
    f.source
   FROM ((pgrecall.failures f
     JOIN pgrecall.sources s ON ((s.id = f.source)))
     LEFT JOIN pgrecall.index_jobs j ON (((j.source = f.source) AND (j.space = f.space))));
ALTER VIEW pgrecall.triage OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.word_stats (
    tenant_id text NOT NULL,
    source_kind text NOT NULL,
    term text NOT NULL,
    sources bigint NOT NULL
);
ALTER TABLE ONLY pgrecall.word_stats FORCE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.word_stats OWNER TO pgrecall_owner;
CREATE TABLE pgrecall.workers (
    id bigint NOT NULL,
    name text NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    lease_until timestamp with time zone NOT NULL,
    locked boolean NOT NULL,
    embedder text DEFAULT 'waiting'::text NOT NULL,
    reason text,
    CONSTRAINT workers_embedder_check CHECK ((embedder = ANY (ARRAY['ok'::text, 'waiting'::text, 'down'::text, 'disabled'::text])))
);
ALTER TABLE pgrecall.workers OWNER TO pgrecall_owner;
ALTER TABLE pgrecall.workers ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME pgrecall.workers_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE ONLY pgrecall.index_job_history ATTACH PARTITION pgrecall.index_job_history_rest DEFAULT;
ALTER TABLE ONLY pgrecall.api_keys
    ADD CONSTRAINT api_keys_key_hash_key UNIQUE (key_hash);
ALTER TABLE ONLY pgrecall.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY pgrecall.audience_corpora
    ADD CONSTRAINT audience_corpora_pkey PRIMARY KEY (tenant_id, source_kind, audience);
ALTER TABLE ONLY pgrecall.audience_words
    ADD CONSTRAINT audience_words_pkey PRIMARY KEY (tenant_id, source_kind, term, audience) INCLUDE (sources);
ALTER TABLE ONLY pgrecall.corpus_stats
    ADD CONSTRAINT corpus_stats_pkey PRIMARY KEY (tenant_id, source_kind);
ALTER TABLE ONLY pgrecall.embedding_spaces
    ADD CONSTRAINT embedding_spaces_pkey PRIMARY KEY (id);
ALTER TABLE ONLY pgrecall.failures
    ADD CONSTRAINT failures_pkey PRIMARY KEY (source, space);
ALTER TABLE ONLY pgrecall.file_sources
    ADD CONSTRAINT file_sources_pkey PRIMARY KEY (file, source);
ALTER TABLE ONLY pgrecall.forgotten_sources
    ADD CONSTRAINT forgotten_sources_pkey PRIMARY KEY (tenant_id, source_id);
ALTER TABLE ONLY pgrecall.index_jobs
    ADD CONSTRAINT index_jobs_unit PRIMARY KEY (source, space);
ALTER TABLE ONLY pgrecall.ingested_files
    ADD CONSTRAINT ingested_files_pkey PRIMARY KEY (id);
ALTER TABLE ONLY pgrecall.ingested_files
    ADD CONSTRAINT ingested_files_tenant_id_owner_id_path_collection_key UNIQUE (tenant_id, owner_id, path, collection);
ALTER TABLE ONLY pgrecall.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (is_only);
ALTER TABLE ONLY pgrecall.labels
    ADD CONSTRAINT labels_pkey PRIMARY KEY (tenant_id, source_kind, label, source) INCLUDE (audience, persona_owner);
ALTER TABLE ONLY pgrecall.passages
    ADD CONSTRAINT passages_pkey PRIMARY KEY (id);
ALTER TABLE ONLY pgrecall.passages
    ADD CONSTRAINT passages_source_ordinal_key UNIQUE (source, ordinal);
ALTER TABLE ONLY pgrecall.postings
    ADD CONSTRAINT postings_pkey PRIMARY KEY (tenant_id, source_kind, term, source) INCLUDE (frequency, length);
ALTER TABLE ONLY pgrecall.refinery_schema_history
    ADD CONSTRAINT refinery_schema_history_pkey PRIMARY KEY (version);
ALTER TABLE ONLY pgrecall.source_versions
    ADD CONSTRAINT source_versions_pkey PRIMARY KEY (tenant_id, version_id);
ALTER TABLE ONLY pgrecall.sources
    ADD CONSTRAINT sources_pkey PRIMARY KEY (id);
ALTER TABLE ONLY pgrecall.word_stats
    ADD CONSTRAINT word_stats_pkey PRIMARY KEY (tenant_id, source_kind, term) INCLUDE (sources);
ALTER TABLE ONLY pgrecall.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX api_keys_name ON pgrecall.api_keys USING btree (tenant_id, name) WHERE ((revoked_at IS NULL) AND (replaced_at IS NULL));
CREATE UNIQUE INDEX audit_log_by_entry ON pgrecall.audit_log USING btree (entry_id);
CREATE INDEX audit_log_by_tenant ON pgrecall.audit_log USING btree (tenant_id, at);
CREATE INDEX audit_log_by_time ON pgrecall.audit_log USING brin (at);
CREATE UNIQUE INDEX embedding_spaces_by_model ON pgrecall.embedding_spaces USING btree (provider, model, asked_dimension, query_prefix, document_prefix) WHERE (state <> 'retired'::text);
CREATE INDEX failures_open ON pgrecall.failures USING btree (tenant_id, last_failed_at DESC) WHERE ((resolved_at IS NULL) AND (dismissed_at IS NULL));
CREATE INDEX file_sources_by_source ON pgrecall.file_sources USING btree (source);
CREATE INDEX forgotten_by_time ON pgrecall.forgotten_sources USING btree (forgotten_at);
CREATE INDEX index_job_history_by_time ON ONLY pgrecall.index_job_history USING brin (finished_at);
CREATE INDEX index_job_history_rest_finished_at_idx ON pgrecall.index_job_history_rest USING brin (finished_at);
CREATE INDEX index_jobs_delayed ON pgrecall.index_jobs USING btree (next_run_at) WHERE (next_run_at IS NOT NULL);
CREATE INDEX index_jobs_ready ON pgrecall.index_jobs USING btree (space, order_key, source) WHERE (next_run_at IS NULL);
CREATE INDEX labels_by_source ON pgrecall.labels USING btree (source);
CREATE UNIQUE INDEX one_space_is_active ON pgrecall.embedding_spaces USING btree ((true)) WHERE (state = 'active'::text);
CREATE INDEX passages_by_kind ON pgrecall.passages USING btree (tenant_id, source_kind) INCLUDE (id);
CREATE INDEX postings_by_source ON pgrecall.postings USING btree (source);
CREATE INDEX sources_by_change ON pgrecall.sources USING btree (tenant_id, source_kind, updated_at);
CREATE INDEX sources_by_creation ON pgrecall.sources USING btree (tenant_id, source_kind, created_at);
CREATE UNIQUE INDEX sources_by_id ON pgrecall.sources USING btree (tenant_id, source_id);
CREATE INDEX sources_by_kind ON pgrecall.sources USING btree (tenant_id, source_kind, id) INCLUDE (words);
CREATE INDEX sources_by_owner ON pgrecall.sources USING btree (tenant_id, source_kind, owner_id, body_hash) INCLUDE (visibility, persona);
CREATE UNIQUE INDEX sources_by_owner_key ON pgrecall.sources USING btree (tenant_id, source_kind, collection, key, owner_id) WHERE ((key IS NOT NULL) AND (visibility = 'private'::text));
CREATE UNIQUE INDEX sources_by_persona_key ON pgrecall.sources USING btree (tenant_id, source_kind, collection, key, persona) WHERE ((key IS NOT NULL) AND (visibility = 'persona'::text));
CREATE INDEX sources_by_session ON pgrecall.sources USING btree (tenant_id, session, id) WHERE (session IS NOT NULL);
CREATE INDEX sources_by_status ON pgrecall.sources USING btree (tenant_id, source_kind, status) WHERE (status <> 'active'::text);
CREATE INDEX sources_by_successor ON pgrecall.sources USING btree (tenant_id, superseded_by) WHERE (superseded_by IS NOT NULL);
CREATE UNIQUE INDEX sources_by_tenant_key ON pgrecall.sources USING btree (tenant_id, source_kind, collection, key) WHERE ((key IS NOT NULL) AND (visibility = 'tenant'::text));
CREATE INDEX sources_by_visibility ON pgrecall.sources USING btree (tenant_id, source_kind, visibility, persona) INCLUDE (owner_id) WHERE (visibility <> 'private'::text);
CREATE INDEX versions_by_source ON pgrecall.source_versions USING btree (tenant_id, source_id, replaced_at);
CREATE INDEX versions_by_time ON pgrecall.source_versions USING btree (replaced_at);
ALTER INDEX pgrecall.index_job_history_by_time ATTACH PARTITION pgrecall.index_job_history_rest_finished_at_idx;
ALTER TABLE ONLY pgrecall.failures
    ADD CONSTRAINT failures_source_fkey FOREIGN KEY (source) REFERENCES pgrecall.sources(id) ON DELETE CASCADE;
ALTER TABLE ONLY pgrecall.failures
    ADD CONSTRAINT failures_space_fkey FOREIGN KEY (space) REFERENCES pgrecall.embedding_spaces(id) ON DELETE CASCADE;
ALTER TABLE ONLY pgrecall.file_sources
    ADD CONSTRAINT file_sources_file_fkey FOREIGN KEY (file) REFERENCES pgrecall.ingested_files(id) ON DELETE CASCADE;
ALTER TABLE ONLY pgrecall.file_sources
    ADD CONSTRAINT file_sources_source_fkey FOREIGN KEY (source) REFERENCES pgrecall.sources(id) ON DELETE CASCADE;
ALTER TABLE ONLY pgrecall.labels
    ADD CONSTRAINT labels_source_fkey FOREIGN KEY (source) REFERENCES pgrecall.sources(id) ON DELETE CASCADE;
ALTER TABLE ONLY pgrecall.passages
    ADD CONSTRAINT passages_source_fkey FOREIGN KEY (source) REFERENCES pgrecall.sources(id) ON DELETE CASCADE;
ALTER TABLE ONLY pgrecall.postings
    ADD CONSTRAINT postings_source_fkey FOREIGN KEY (source) REFERENCES pgrecall.sources(id) ON DELETE CASCADE;
ALTER TABLE pgrecall.api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.audience_corpora ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.audience_words ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_its_hash ON pgrecall.api_keys FOR SELECT TO pgrecall_server USING ((key_hash = ( SELECT decode(current_setting('pgrecall.key_hash'::text, true), 'hex'::text) AS decode)));
ALTER TABLE pgrecall.corpus_stats ENABLE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON pgrecall.audience_corpora TO pgrecall_worker USING (true) WITH CHECK (true);
CREATE POLICY every_tenant ON pgrecall.audience_words TO pgrecall_worker USING (true) WITH CHECK (true);
CREATE POLICY every_tenant ON pgrecall.audit_log TO pgrecall_worker USING (true) WITH CHECK (true);
CREATE POLICY every_tenant ON pgrecall.corpus_stats TO pgrecall_worker USING (true) WITH CHECK (true);
CREATE POLICY every_tenant ON pgrecall.failures TO pgrecall_worker USING (true) WITH CHECK (true);
CREATE POLICY every_tenant ON pgrecall.forgotten_sources TO pgrecall_worker USING (true);
CREATE POLICY every_tenant ON pgrecall.index_job_history TO pgrecall_worker USING (true) WITH CHECK (true);
CREATE POLICY every_tenant ON pgrecall.index_jobs TO pgrecall_worker USING (true) WITH CHECK (true);
CREATE POLICY every_tenant ON pgrecall.labels TO pgrecall_worker USING (true) WITH CHECK (true);
CREATE POLICY every_tenant ON pgrecall.passages TO pgrecall_worker USING (true) WITH CHECK (true);
CREATE POLICY every_tenant ON pgrecall.postings TO pgrecall_worker USING (true) WITH CHECK (true);
CREATE POLICY every_tenant ON pgrecall.source_versions TO pgrecall_worker USING (true);
CREATE POLICY every_tenant ON pgrecall.sources TO pgrecall_worker USING (true) WITH CHECK (true);
CREATE POLICY every_tenant ON pgrecall.word_stats TO pgrecall_worker USING (true) WITH CHECK (true);
ALTER TABLE pgrecall.failures ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.file_sources ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.forgotten_sources ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.index_job_history ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.index_jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.ingested_files ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.labels ENABLE ROW LEVEL SECURITY;
CREATE POLICY old_entries ON pgrecall.audit_log FOR SELECT TO pgrecall_owner USING ((at < (now() - '7 days'::interval)));
CREATE POLICY old_entries_end ON pgrecall.audit_log FOR DELETE TO pgrecall_owner USING ((at < (now() - '7 days'::interval)));
CREATE POLICY own_or_with_visible_sources ON pgrecall.ingested_files TO pgrecall_server USING (((tenant_id = current_setting('pgrecall.tenant'::text)) AND ((owner_id = current_setting('pgrecall.owner'::text)) OR (EXISTS ( SELECT
   FROM pgrecall.file_sources h
  WHERE (h.file = ingested_files.id)))))) WITH CHECK ((tenant_id = current_setting('pgrecall.tenant'::text)));
CREATE POLICY own_tenant ON pgrecall.api_keys TO pgrecall_server USING ((tenant_id = ( SELECT current_setting('pgrecall.tenant'::text) AS current_setting)));
CREATE POLICY own_tenant ON pgrecall.audit_log TO pgrecall_server USING ((tenant_id = ( SELECT current_setting('pgrecall.tenant'::text) AS current_setting)));
CREATE POLICY own_tenant ON pgrecall.corpus_stats TO pgrecall_server USING ((tenant_id = current_setting('pgrecall.tenant'::text)));
CREATE POLICY own_tenant ON pgrecall.postings TO pgrecall_server USING ((tenant_id = current_setting('pgrecall.tenant'::text)));
CREATE POLICY own_tenant ON pgrecall.word_stats TO pgrecall_server USING ((tenant_id = current_setting('pgrecall.tenant'::text)));
CREATE POLICY own_tenant_and_visible ON pgrecall.audience_corpora TO pgrecall_server USING (((tenant_id = ( SELECT current_setting('pgrecall.tenant'::text) AS current_setting)) AND ((audience = ( SELECT ('owner '::text || current_setting('pgrecall.owner'::text)))) OR (audience = ''::text) OR (audience = ( SELECT ('persona '::text || current_setting('pgrecall.persona'::text)))))));
CREATE POLICY own_tenant_and_visible ON pgrecall.audience_words TO pgrecall_server USING (((tenant_id = ( SELECT current_setting('pgrecall.tenant'::text) AS current_setting)) AND ((audience = ( SELECT ('owner '::text || current_setting('pgrecall.owner'::text)))) OR (audience = ''::text) OR (audience = ( SELECT ('persona '::text || current_setting('pgrecall.persona'::text)))))));
CREATE POLICY own_tenant_and_visible ON pgrecall.failures TO pgrecall_server USING (((tenant_id = ( SELECT current_setting('pgrecall.tenant'::text) AS current_setting)) AND (EXISTS ( SELECT
   FROM pgrecall.sources s
  WHERE (s.id = failures.source)))));
CREATE POLICY own_tenant_and_visible ON pgrecall.file_sources TO pgrecall_server USING (((tenant_id = ( SELECT current_setting('pgrecall.tenant'::text) AS current_setting)) AND (EXISTS ( SELECT
   FROM pgrecall.sources s
  WHERE (s.id = file_sources.source)))));
CREATE POLICY own_tenant_and_visible ON pgrecall.forgotten_sources TO pgrecall_server USING (((tenant_id = current_setting('pgrecall.tenant'::text)) AND ((visibility = 'tenant'::text) OR (owner_id = current_setting('pgrecall.owner'::text)) OR ((visibility = 'persona'::text) AND (persona = current_setting('pgrecall.persona'::text))))));
CREATE POLICY own_tenant_and_visible ON pgrecall.index_job_history TO pgrecall_server USING (((tenant_id = ( SELECT current_setting('pgrecall.tenant'::text) AS current_setting)) AND (NOT (EXISTS ( SELECT
   FROM unnest(index_job_history.sources) held(source)
  WHERE (NOT (EXISTS ( SELECT
           FROM pgrecall.sources s
          WHERE (s.id = held.source)))))))));
CREATE POLICY own_tenant_and_visible ON pgrecall.index_jobs TO pgrecall_server USING (((tenant_id = ( SELECT current_setting('pgrecall.tenant'::text) AS current_setting)) AND (EXISTS ( SELECT
   FROM pgrecall.sources s
  WHERE (s.id = index_jobs.source))))) WITH CHECK ((tenant_id = ( SELECT current_setting('pgrecall.tenant'::text) AS current_setting)));
CREATE POLICY own_tenant_and_visible ON pgrecall.labels TO pgrecall_server USING (((tenant_id = ( SELECT current_setting('pgrecall.tenant'::text) AS current_setting)) AND ((audience = ( SELECT ('owner '::text || current_setting('pgrecall.owner'::text)))) OR (audience = ''::text) OR (audience = ( SELECT ('persona '::text || current_setting('pgrecall.persona'::text)))) OR (persona_owner = ( SELECT current_setting('pgrecall.owner'::text) AS current_setting)) OR ((audience IS NULL) AND pgrecall.may_read(source)))));
CREATE POLICY own_tenant_and_visible ON pgrecall.passages TO pgrecall_server USING (((tenant_id = ( SELECT current_setting('pgrecall.tenant'::text) AS current_setting)) AND ((audience = ( SELECT ('owner '::text || current_setting('pgrecall.owner'::text)))) OR (audience = ''::text) OR (audience = ( SELECT ('persona '::text || current_setting('pgrecall.persona'::text)))) OR (persona_owner = ( SELECT current_setting('pgrecall.owner'::text) AS current_setting)) OR ((audience IS NULL) AND pgrecall.may_read(source)))));
CREATE POLICY own_tenant_and_visible ON pgrecall.source_versions TO pgrecall_server USING (((tenant_id = ( SELECT current_setting('pgrecall.tenant'::text) AS current_setting)) AND ((owner_id = ( SELECT current_setting('pgrecall.owner'::text) AS current_setting)) OR (((visibility = 'tenant'::text) OR ((visibility = 'persona'::text) AND (persona = ( SELECT current_setting('pgrecall.persona'::text) AS current_setting)))) AND ((EXISTS ( SELECT
   FROM pgrecall.sources s
  WHERE ((s.tenant_id = source_versions.tenant_id) AND (s.source_id = source_versions.source_id)))) OR (EXISTS ( SELECT
   FROM pgrecall.forgotten_sources f
  WHERE ((f.tenant_id = source_versions.tenant_id) AND (f.source_id = source_versions.source_id)))))))));
CREATE POLICY own_tenant_and_visible ON pgrecall.sources TO pgrecall_server USING (((tenant_id = current_setting('pgrecall.tenant'::text)) AND ((visibility = 'tenant'::text) OR (owner_id = current_setting('pgrecall.owner'::text)) OR ((visibility = 'persona'::text) AND (persona = current_setting('pgrecall.persona'::text))))));
ALTER TABLE pgrecall.passages ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.postings ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.source_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgrecall.sources ENABLE ROW LEVEL SECURITY;
CREATE POLICY used ON pgrecall.api_keys FOR UPDATE TO pgrecall_server USING ((key_hash = ( SELECT decode(current_setting('pgrecall.key_hash'::text, true), 'hex'::text) AS decode)));
ALTER TABLE pgrecall.word_stats ENABLE ROW LEVEL SECURITY;
GRANT USAGE ON SCHEMA pgrecall TO pgrecall_server;
GRANT USAGE ON SCHEMA pgrecall TO pgrecall_worker;
REVOKE ALL ON FUNCTION pgrecall.drop_old_audit(retention_days integer) FROM PUBLIC;
GRANT ALL ON FUNCTION pgrecall.drop_old_audit(retention_days integer) TO pgrecall_worker;
REVOKE ALL ON FUNCTION pgrecall.drop_retired_spaces(kept interval) FROM PUBLIC;
GRANT ALL ON FUNCTION pgrecall.drop_retired_spaces(kept interval) TO pgrecall_worker;
REVOKE ALL ON FUNCTION pgrecall.make_space(space_id integer, wanted_dimension integer) FROM PUBLIC;
GRANT ALL ON FUNCTION pgrecall.make_space(space_id integer, wanted_dimension integer) TO pgrecall_server;
GRANT ALL ON FUNCTION pgrecall.make_space(space_id integer, wanted_dimension integer) TO pgrecall_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pgrecall.sources TO pgrecall_server;
GRANT SELECT ON TABLE pgrecall.sources TO pgrecall_worker;
REVOKE ALL ON FUNCTION pgrecall.refresh_planner_statistics() FROM PUBLIC;
GRANT ALL ON FUNCTION pgrecall.refresh_planner_statistics() TO pgrecall_worker;
REVOKE ALL ON FUNCTION pgrecall.rotate_history(retention_days integer) FROM PUBLIC;
GRANT ALL ON FUNCTION pgrecall.rotate_history(retention_days integer) TO pgrecall_worker;
GRANT SELECT,INSERT ON TABLE pgrecall.api_keys TO pgrecall_server;
GRANT UPDATE(expires_at) ON TABLE pgrecall.api_keys TO pgrecall_server;
GRANT UPDATE(revoked_at) ON TABLE pgrecall.api_keys TO pgrecall_server;
GRANT UPDATE(last_used_at) ON TABLE pgrecall.api_keys TO pgrecall_server;
GRANT UPDATE(replaced_at) ON TABLE pgrecall.api_keys TO pgrecall_server;
GRANT SELECT ON TABLE pgrecall.audience_corpora TO pgrecall_server;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pgrecall.audience_corpora TO pgrecall_worker;
GRANT SELECT ON TABLE pgrecall.audience_words TO pgrecall_server;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pgrecall.audience_words TO pgrecall_worker;
GRANT SELECT,INSERT ON TABLE pgrecall.audit_log TO pgrecall_worker;
GRANT SELECT ON TABLE pgrecall.corpus_stats TO pgrecall_server;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pgrecall.corpus_stats TO pgrecall_worker;
GRANT SELECT,INSERT,UPDATE ON TABLE pgrecall.embedding_spaces TO pgrecall_server;
GRANT SELECT,INSERT,UPDATE ON TABLE pgrecall.embedding_spaces TO pgrecall_worker;
GRANT USAGE ON SEQUENCE pgrecall.embedding_spaces_id_seq TO pgrecall_server;
GRANT USAGE ON SEQUENCE pgrecall.embedding_spaces_id_seq TO pgrecall_worker;
GRANT SELECT,UPDATE ON TABLE pgrecall.failures TO pgrecall_server;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pgrecall.failures TO pgrecall_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pgrecall.file_sources TO pgrecall_server;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pgrecall.forgotten_sources TO pgrecall_server;
GRANT SELECT,DELETE ON TABLE pgrecall.forgotten_sources TO pgrecall_worker;
GRANT SELECT ON TABLE pgrecall.index_job_history TO pgrecall_server;
GRANT SELECT,INSERT ON TABLE pgrecall.index_job_history TO pgrecall_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pgrecall.index_jobs TO pgrecall_server;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pgrecall.index_jobs TO pgrecall_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pgrecall.ingested_files TO pgrecall_server;
GRANT SELECT(secret) ON TABLE pgrecall.installation TO pgrecall_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pgrecall.labels TO pgrecall_server;
GRANT SELECT ON TABLE pgrecall.labels TO pgrecall_worker;
GRANT UPDATE(audience) ON TABLE pgrecall.labels TO pgrecall_worker;
GRANT UPDATE(persona_owner) ON TABLE pgrecall.labels TO pgrecall_worker;
GRANT USAGE ON SEQUENCE pgrecall.lease_tokens TO pgrecall_server;
GRANT USAGE ON SEQUENCE pgrecall.lease_tokens TO pgrecall_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pgrecall.passages TO pgrecall_server;
GRANT SELECT ON TABLE pgrecall.passages TO pgrecall_worker;
GRANT UPDATE(audience) ON TABLE pgrecall.passages TO pgrecall_worker;
GRANT UPDATE(persona_owner) ON TABLE pgrecall.passages TO pgrecall_worker;
GRANT USAGE ON SEQUENCE pgrecall.passages_id_seq TO pgrecall_server;
GRANT USAGE ON SEQUENCE pgrecall.passages_id_seq TO pgrecall_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pgrecall.postings TO pgrecall_server;
GRANT SELECT ON TABLE pgrecall.postings TO pgrecall_worker;
GRANT SELECT ON TABLE pgrecall.refinery_schema_history TO pgrecall_server;
GRANT SELECT ON TABLE pgrecall.refinery_schema_history TO pgrecall_worker;
GRANT SELECT,INSERT,DELETE ON TABLE pgrecall.source_versions TO pgrecall_server;
GRANT SELECT,DELETE ON TABLE pgrecall.source_versions TO pgrecall_worker;
GRANT USAGE ON SEQUENCE pgrecall.sources_id_seq TO pgrecall_server;
GRANT USAGE ON SEQUENCE pgrecall.sources_id_seq TO pgrecall_worker;
GRANT SELECT ON TABLE pgrecall.triage TO pgrecall_server;
GRANT SELECT ON TABLE pgrecall.triage TO pgrecall_worker;
GRANT SELECT ON TABLE pgrecall.word_stats TO pgrecall_server;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pgrecall.word_stats TO pgrecall_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pgrecall.workers TO pgrecall_worker;
GRANT USAGE ON SEQUENCE pgrecall.workers_id_seq TO pgrecall_server;
GRANT USAGE ON SEQUENCE pgrecall.workers_id_seq TO pgrecall_worker;
