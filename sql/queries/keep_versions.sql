-- Keeps what records say ($1) before somebody other than their writer replaces them.
--
-- Called by: versions::keep, before write_sources.sql in the same transaction, which holds the records' locks. Index: sources_by_id. What was
-- superseded is kept with the end that it had without its successor, as keep_forgotten.sql does: brought back, it is active.
INSERT INTO source_versions (tenant_id, version_id, source_id, owner_id, persona, visibility, record, written_by, replaced_by)
SELECT s.tenant_id, gen_random_uuid(), s.source_id, s.owner_id, s.persona, s.visibility,
       {kept},
       coalesce(s.written_by, s.owner_id), current_setting('pgrecall.owner')
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = ANY ($1::uuid[])
  AND coalesce(s.written_by, s.owner_id) <> current_setting('pgrecall.owner')
