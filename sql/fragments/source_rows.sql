jsonb_to_recordset($1::text::jsonb) AS r (
        place int, exists bool, owner_id text, persona text, written_by text, source_kind text, source_id uuid, collection text, key text, visibility text, title text, body text, format text,
        uri text, metadata jsonb, tags text[], entity_urns text[], session text, content_hash text, words int, dimension text, category text,
        confidence real, origin text, valid_from timestamptz, valid_to timestamptz, details jsonb, supersedes uuid[], status text,
        superseded_by uuid, created_at timestamptz, updated_at timestamptz, last_verified timestamptz)
