-- Drops what was noted of files that are gone.
--
-- Called by: files::forget, after their sources were forgotten. Index: the primary key; what they held goes with them (ON DELETE CASCADE).
DELETE FROM ingested_files
WHERE id = ANY ($1::int8[])
      AND tenant_id = current_setting('pgrecall.tenant') AND owner_id = current_setting('pgrecall.owner')
