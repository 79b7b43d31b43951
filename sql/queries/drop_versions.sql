-- Deletes the versions of records ($1) that are forgotten for good.
--
-- Called by: versions::drop_of. Index: versions_by_source.
-- Deletes only versions of the caller's own records, or for an administrator ($2) of all.
DELETE FROM source_versions WHERE tenant_id = current_setting('pgrecall.tenant') AND source_id = ANY ($1::uuid[])
  AND ($2::bool OR owner_id = current_setting('pgrecall.owner'))
