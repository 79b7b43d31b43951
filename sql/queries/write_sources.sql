-- Writes new sources, and sources that replace an existing record.
--
-- Called by: write::write, with one JSON array for the batch. Indexes: sources_by_id, and those of
-- the keys.
-- The look-up has locked the records that it found; this statement updates them by their id. It
-- skips a new record if its key was taken since the look-up, or if another record has its id: the
-- caller looks again. A replaced source keeps its ids, so that its unchanged passages keep their
-- vectors. A superseded or archived source becomes active when it is written.
-- A record that supersedes others is valid from now on, unless it names another time.
WITH r AS MATERIALIZED (
    SELECT r.*, coalesce(r.owner_id, current_setting('pgrecall.owner')) AS owner,
           CASE WHEN r.owner_id IS NULL THEN nullif(current_setting('pgrecall.persona'), '') ELSE r.persona END AS as_persona,
           CASE WHEN r.valid_from IS NULL AND cardinality(r.supersedes) > 0 THEN least(clock_timestamp(), r.valid_to) ELSE r.valid_from END AS starts_at
    FROM jsonb_to_recordset($1::text::jsonb) AS r (
        place int, exists bool, owner_id text, persona text, written_by text, source_kind text, source_id uuid, key text, visibility text, body text,
        format text, session text, content_hash text, words int, {field_types}, valid_from timestamptz, valid_to timestamptz, details jsonb,
        supersedes uuid[], status text, superseded_by uuid, created_at timestamptz, updated_at timestamptz, last_verified timestamptz)),
replaced AS (
    UPDATE sources s SET
        key = coalesce(r.key, s.key), visibility = r.visibility, persona = CASE WHEN r.visibility = 'persona' THEN r.as_persona ELSE s.persona END,
        body = r.body, format = r.format, {set_fields}, session = r.session, content_hash = decode(r.content_hash, 'hex'), words = r.words,
        valid_from = r.starts_at, valid_to = r.valid_to,
        own_valid_to = CASE WHEN r.status = 'superseded' AND s.valid_to IS NOT DISTINCT FROM r.valid_to THEN s.own_valid_to END, details = r.details,
        status = r.status, superseded_by = r.superseded_by, updated_at = coalesce(r.updated_at, clock_timestamp()), last_verified = r.last_verified,
        written_by = nullif(current_setting('pgrecall.owner'), s.owner_id)
    FROM r
    WHERE r.exists AND s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = r.source_id
    RETURNING s.id, s.source_id, s.visibility, s.persona, s.owner_id),
inserted AS (
    INSERT INTO sources AS s (
        tenant_id, owner_id, persona, source_kind, source_id, key, visibility, body, format, {field_names}, session, content_hash, words, valid_from,
        valid_to, details, status, superseded_by, created_at, updated_at, last_verified, written_by)
    SELECT current_setting('pgrecall.tenant'), r.owner, r.as_persona, r.source_kind, r.source_id, r.key, r.visibility, r.body, r.format,
           {given_fields}, r.session, decode(r.content_hash, 'hex'), r.words, r.starts_at, r.valid_to, r.details, r.status, r.superseded_by,
           coalesce(r.created_at, clock_timestamp()), coalesce(r.updated_at, clock_timestamp()), r.last_verified, r.written_by
    FROM r WHERE NOT r.exists
    ORDER BY r.place
    ON CONFLICT DO NOTHING
    RETURNING s.id, s.source_id, s.visibility, s.persona, s.owner_id)
SELECT id, source_id, audience(visibility, persona, owner_id) AS audience, CASE WHEN visibility = 'persona' THEN owner_id END AS persona_owner
FROM (SELECT * FROM replaced UNION ALL SELECT * FROM inserted) AS written
