-- Links files to the sources that they hold in the version that is being read.
--
-- Called by: files::mark, in the transaction that wrote the sources and has locked them. Indexes:
-- sources_by_id, file_sources_pkey.
-- A row that has this version already is not written again.
INSERT INTO file_sources AS h (file, source, tenant_id, version)
SELECT DISTINCT m.file, s.id, s.tenant_id, m.version
FROM unnest($1::int8[], $2::uuid[], $3::uuid[]) AS m (file, source_id, version)
JOIN sources s ON s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = m.source_id
ORDER BY m.file, s.id
ON CONFLICT (file, source) DO UPDATE SET version = excluded.version WHERE h.version <> excluded.version
