-- Inserts passages; an existing passage with the same text keeps its row and its vector.
--
-- Called by: write::write, after drop_changed_passages.sql.
INSERT INTO passages (tenant_id, source, source_kind, ordinal, heading, text, text_hash, audience, persona_owner)
SELECT current_setting('pgrecall.tenant'), r.*
FROM unnest($1::int8[], $2::text[], $3::int4[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::text[])
    AS r (source, source_kind, ordinal, heading, text, text_hash, audience, persona_owner)
ON CONFLICT (source, ordinal) DO NOTHING
