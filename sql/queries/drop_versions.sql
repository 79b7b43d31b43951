-- Drops the versions of records ($1) that are deleted beyond undo.
--
-- Called by: versions::drop_of. Index: versions_by_source.
DELETE FROM source_versions WHERE tenant_id = current_setting('pgrecall.tenant') AND source_id = ANY ($1::uuid[])
