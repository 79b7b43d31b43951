-- Keeps the current state of records ($1) that somebody other than their writer replaces.
--
-- Called by: versions::keep, before write_sources.sql in the same transaction, which holds the
-- records' locks. Index: sources_by_id.
-- A superseded record is kept with its own end of validity, as in keep_forgotten.sql: restored, it
-- is active.
INSERT INTO source_versions (tenant_id, version_id, source_id, owner_id, persona, visibility, record, written_by, replaced_by)
SELECT s.tenant_id, gen_random_uuid(), s.source_id, s.owner_id, s.persona, s.visibility,
       {kept},
       coalesce(s.written_by, s.owner_id), current_setting('pgrecall.owner')
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = ANY ($1::uuid[])
  AND coalesce(s.written_by, s.owner_id) <> current_setting('pgrecall.owner')
