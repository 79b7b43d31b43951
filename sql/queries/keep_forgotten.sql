-- Keeps a copy of records before they are forgotten, so that they can be restored.
--
-- Called by: forget::forget, before forget.sql in the same transaction. Index: sources_pkey.
-- Keeps the record alone, in a table that no recall reads. A superseded record is kept with its own
-- end of validity: restored, it is no longer superseded.
INSERT INTO forgotten_sources AS f (tenant_id, source_id, owner_id, persona, visibility, record, written_by)
SELECT s.tenant_id, s.source_id, s.owner_id, s.persona, s.visibility,
       {kept}, s.written_by
FROM sources s WHERE s.id = ANY ($1::int8[])
ON CONFLICT (tenant_id, source_id) DO UPDATE SET
    owner_id = excluded.owner_id, persona = excluded.persona, visibility = excluded.visibility, record = excluded.record,
    written_by = excluded.written_by, forgotten_at = clock_timestamp()
