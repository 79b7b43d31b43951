-- Drops what was kept of forgotten records: they were brought back, or shall be gone for good.
--
-- Called by: forget::forget and forget::release. Index: forgotten_sources_pkey.
DELETE FROM forgotten_sources WHERE tenant_id = current_setting('pgrecall.tenant') AND source_id = ANY ($1::uuid[]) RETURNING source_id, owner_id
