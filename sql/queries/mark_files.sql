-- Stores the version of files that are being read, as not yet read to the end.
--
-- Called by: files::mark, in the transaction that writes their records. Index: the unique one of
-- ingested_files.
-- Runs after the records are written: two transactions that read one file wait for each other here.
-- finish_files.sql sets `sources`, and only then does the version count as read. A file without
-- records gets a row only if it has one already.
INSERT INTO ingested_files AS f (tenant_id, owner_id, path, collection, version)
SELECT current_setting('pgrecall.tenant'), current_setting('pgrecall.owner'), m.path, m.collection, m.version
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bool[]) AS m (path, collection, version, holds)
WHERE m.holds OR EXISTS (
    SELECT FROM ingested_files before
    WHERE before.tenant_id = current_setting('pgrecall.tenant') AND before.owner_id = current_setting('pgrecall.owner')
          AND before.path = m.path AND before.collection = m.collection)
ORDER BY m.path, m.collection
ON CONFLICT (tenant_id, owner_id, path, collection) DO UPDATE SET
    version = excluded.version, sources = NULL, ingested_at = clock_timestamp()
RETURNING f.id, f.path, f.collection
