-- Updates the readers of the passages of sources whose readers a write has changed.
--
-- Called by: texts::change_readers. Index: passages_source_ordinal_key.
-- Labels need no update: every replacement deletes and inserts them.
UPDATE passages p SET audience = r.audience, persona_owner = r.persona_owner
FROM unnest($1::int8[], $2::text[], $3::text[]) AS r (source, audience, persona_owner)
WHERE p.source = r.source
