-- Inserts passages; an existing passage with the same text keeps its row and its vector.
--
-- Called by: write::write, after drop_changed_passages.sql.
-- A passage can move without a change of its own, when a passage before it gets longer.
INSERT INTO passages (tenant_id, source, source_kind, ordinal, heading, text, starts_at, text_hash, audience, persona_owner)
SELECT current_setting('pgrecall.tenant'), r.*
FROM unnest($1::int8[], $2::text[], $3::int4[], $4::text[], $5::text[], $6::int4[], $7::bytea[], $8::text[], $9::text[])
    AS r (source, source_kind, ordinal, heading, text, starts_at, text_hash, audience, persona_owner)
ON CONFLICT (source, ordinal) DO UPDATE SET starts_at = excluded.starts_at
WHERE passages.starts_at IS DISTINCT FROM excluded.starts_at
