-- Passes on to passages who reads their sources, where a write has changed that.
--
-- Called by: texts::change_readers. Index: passages_source_ordinal_key. Labels are written again by every replacement.
UPDATE passages p SET audience = r.audience, persona_owner = r.persona_owner
FROM unnest($1::int8[], $2::text[], $3::text[]) AS r (source, audience, persona_owner)
WHERE p.source = r.source
