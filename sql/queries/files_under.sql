-- Returns a page of the ingested files at a path or below it.
--
-- Called by: files::under, page by page. Index: the unique one of ingested_files.
-- The index orders paths by their bytes: everything below a folder lies between its name with a
-- slash ($2) and its name with the character after a slash ($3).
SELECT path, array_agg(id) AS files
FROM ingested_files
WHERE tenant_id = current_setting('pgrecall.tenant') AND owner_id = current_setting('pgrecall.owner')
      AND (path = $1 OR (path >= $2 AND path < $3)) AND path > $4
GROUP BY path
ORDER BY path
LIMIT $5
