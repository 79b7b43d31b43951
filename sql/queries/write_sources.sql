-- Writes sources: new ones, and ones that replace a record that is there.
--
-- Called by: write::write, with one JSON array for the batch. Indexes: sources_by_id, and those of the keys. A record that was found is locked since
-- then, and updated by its id. A new one whose key was taken meanwhile, or whose id another record has, is left out: whoever asks looks again.
-- A replaced source keeps its ids, so that its unchanged passages keep their vectors; one that was superseded or archived is active again once
-- it is written.
-- What takes another's place is true from then on, unless it says since when.
WITH r AS MATERIALIZED (
    SELECT r.place, r.exists, coalesce(r.owner_id, current_setting('pgrecall.owner')) AS owner_id,
           CASE WHEN r.owner_id IS NULL THEN nullif(current_setting('pgrecall.persona'), '') ELSE r.persona END AS persona, r.written_by, r.source_kind, r.source_id, r.collection, r.key, r.visibility, r.title, r.body, r.format, r.uri, r.metadata, r.tags,
           r.entity_urns, r.session, decode(r.content_hash, 'hex') AS content_hash, r.words, r.dimension, r.category, r.confidence, r.origin,
           CASE WHEN r.valid_from IS NULL AND cardinality(r.supersedes) > 0 THEN least(clock_timestamp(), r.valid_to) ELSE r.valid_from END AS valid_from,
           r.valid_to, r.details, r.status, r.superseded_by, coalesce(r.created_at, clock_timestamp()) AS created_at,
           coalesce(r.updated_at, clock_timestamp()) AS updated_at, r.last_verified
    FROM {source_rows}),
replaced AS (
    UPDATE sources s SET
        collection = r.collection, key = coalesce(r.key, s.key), visibility = r.visibility,
        persona = CASE WHEN r.visibility = 'persona' THEN r.persona ELSE s.persona END, title = r.title, body = r.body, format = r.format,
        uri = r.uri, metadata = r.metadata, tags = r.tags, entity_urns = r.entity_urns, session = r.session, content_hash = r.content_hash,
        words = r.words, dimension = r.dimension, category = r.category, confidence = r.confidence, origin = r.origin,
        valid_from = r.valid_from, valid_to = r.valid_to,
        own_valid_to = CASE WHEN r.status = 'superseded' AND s.valid_to IS NOT DISTINCT FROM r.valid_to THEN s.own_valid_to END, details = r.details, status = r.status, superseded_by = r.superseded_by,
        updated_at = r.updated_at, last_verified = r.last_verified, written_by = nullif(current_setting('pgrecall.owner'), s.owner_id)
    FROM r
    WHERE r.exists AND s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = r.source_id
    RETURNING s.id, s.source_id, s.visibility, s.persona, s.owner_id),
inserted AS (
    INSERT INTO sources AS s (
        tenant_id, owner_id, persona, source_kind, source_id, collection, key, visibility, title, body, format, uri, metadata, tags, entity_urns,
        session, content_hash, words, dimension, category, confidence, origin, valid_from, valid_to, details, status, superseded_by, created_at,
        updated_at, last_verified, written_by)
    SELECT current_setting('pgrecall.tenant'), r.owner_id, r.persona, r.source_kind, r.source_id, r.collection, r.key, r.visibility, r.title, r.body, r.format, r.uri, r.metadata, r.tags, r.entity_urns,
           r.session, r.content_hash, r.words, r.dimension, r.category, r.confidence, r.origin, r.valid_from, r.valid_to, r.details, r.status,
           r.superseded_by, r.created_at, r.updated_at, r.last_verified, r.written_by
    FROM r WHERE NOT r.exists
    ORDER BY r.place
    ON CONFLICT DO NOTHING
    RETURNING s.id, s.source_id, s.visibility, s.persona, s.owner_id)
SELECT id, source_id, audience(visibility, persona, owner_id) AS audience, CASE WHEN visibility = 'persona' THEN owner_id END AS persona_owner
FROM (SELECT * FROM replaced UNION ALL SELECT * FROM inserted) AS written
