-- Deletes the passages of replaced sources that are not among the new ones.
--
-- Called by: write::write, for replaced sources only. Index: passages_source_ordinal_key.
-- Their vectors go with them (ON DELETE CASCADE), so that a recall never finds an edited text by
-- its old content.
DELETE FROM passages p
WHERE p.source = ANY ($1::int8[])
  AND NOT EXISTS (
      SELECT FROM unnest($2::int8[], $3::int4[], $4::bytea[]) AS kept (source, ordinal, text_hash)
      WHERE kept.source = p.source AND kept.ordinal = p.ordinal AND kept.text_hash = p.text_hash)
