-- Deletes the kept copies of forgotten records.
--
-- Called by: forget::release, after the records were restored, and forget::forget, when they are to
-- be deleted for good. Index: forgotten_sources_pkey.
DELETE FROM forgotten_sources WHERE tenant_id = current_setting('pgrecall.tenant') AND source_id = ANY ($1::uuid[]) RETURNING source_id, owner_id
