-- Deletes the passages of these sources that are not among the new ones. Their vectors go with them (ON DELETE CASCADE), so that a
-- text that was edited is never found by what it used to say.
--
-- Called by: write::write, for replaced sources only. Index: passages_source_ordinal_key.
DELETE FROM passages p
WHERE p.source = ANY ($1::int8[])
  AND NOT EXISTS (
      SELECT FROM unnest($2::int8[], $3::int4[], $4::bytea[]) AS kept (source, ordinal, text_hash)
      WHERE kept.source = p.source AND kept.ordinal = p.ordinal AND kept.text_hash = p.text_hash)
