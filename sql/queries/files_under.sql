-- The files that were ingested from a path: itself, or what lies between its name with a slash and with what comes after one.
--
-- Called by: files::under, page by page. Index: the unique one of ingested_files, whose paths are in the order of their bytes.
SELECT path, array_agg(id) AS files
FROM ingested_files
WHERE tenant_id = current_setting('pgrecall.tenant') AND owner_id = current_setting('pgrecall.owner')
      AND (path = $1 OR (path >= $2 AND path < $3)) AND path > $4
GROUP BY path
ORDER BY path
LIMIT $5
