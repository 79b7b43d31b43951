-- Keeps what is about to be forgotten, so that it can be brought back: the record alone, where nothing looks for it.
--
-- Called by: forget::forget, before forget.sql in the same transaction. Index: sources_pkey. What was superseded is kept with the end that it had by
-- itself: brought back, it is superseded no more.
INSERT INTO forgotten_sources AS f (tenant_id, source_id, owner_id, persona, visibility, record, written_by)
SELECT s.tenant_id, s.source_id, s.owner_id, s.persona, s.visibility,
       {kept}, s.written_by
FROM sources s WHERE s.id = ANY ($1::int8[])
ON CONFLICT (tenant_id, source_id) DO UPDATE SET
    owner_id = excluded.owner_id, persona = excluded.persona, visibility = excluded.visibility, record = excluded.record,
    written_by = excluded.written_by, forgotten_at = clock_timestamp()
