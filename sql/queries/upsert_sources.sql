-- Writes sources: new ones, and ones that replace the record with their key.
--
-- Called by: write::write, with one JSON array for the batch. Index: sources_by_key. A replaced source keeps its ids, so that its
-- unchanged passages keep their vectors; a record that was superseded or archived is active again once it is written.
INSERT INTO sources AS s (
    tenant_id, owner_id, persona, source_kind, source_id, collection, key, visibility, title, body, format, uri, metadata, tags,
    entity_urns, session, content_hash, words, dimension, category, confidence, origin, valid_from, valid_to, details)
SELECT current_setting('pgrecall.tenant'), current_setting('pgrecall.owner'), nullif(current_setting('pgrecall.persona'), ''),
       r.source_kind, r.source_id, r.collection, r.key, r.visibility, r.title, r.body, r.format, r.uri, r.metadata, r.tags,
       r.entity_urns, r.session, decode(r.content_hash, 'hex'), r.words, r.dimension, r.category, r.confidence, r.origin,
       r.valid_from, r.valid_to, r.details
FROM jsonb_to_recordset($1::text::jsonb) AS r (
    source_kind text, source_id uuid, collection text, key text, visibility text, title text, body text, format text, uri text,
    metadata jsonb, tags text[], entity_urns text[], session text, content_hash text, words int, dimension text, category text,
    confidence real, origin text, valid_from timestamptz, valid_to timestamptz, details jsonb, place int)
ORDER BY r.place
ON CONFLICT (tenant_id, source_kind, collection, key) WHERE key IS NOT NULL DO UPDATE SET
    visibility = excluded.visibility, title = excluded.title, body = excluded.body, format = excluded.format,
    uri = excluded.uri, metadata = excluded.metadata, tags = excluded.tags, entity_urns = excluded.entity_urns,
    session = excluded.session, content_hash = excluded.content_hash, words = excluded.words, dimension = excluded.dimension,
    category = excluded.category, confidence = excluded.confidence, origin = excluded.origin,
    valid_from = excluded.valid_from, valid_to = excluded.valid_to, details = excluded.details,
    status = 'active', superseded_by = NULL, updated_at = clock_timestamp()
RETURNING s.id, s.source_id, s.source_kind, s.collection, s.key
