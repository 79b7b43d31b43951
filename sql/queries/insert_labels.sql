-- Inserts labels, the values that filters match.
--
-- Called by: write::write.
INSERT INTO labels (tenant_id, source, source_kind, label, audience, persona_owner)
SELECT current_setting('pgrecall.tenant'), r.*
FROM unnest($1::int8[], $2::text[], $3::text[], $4::text[], $5::text[]) AS r (source, source_kind, label, audience, persona_owner)
