-- Which of these keys are taken, and by what content.
--
-- Called by: write::write. Index: sources_by_key. Locks the rows that are there, in the order of their ids, so that two writers of the
-- same keys wait for each other and cannot deadlock; a key that is new to both is settled by write_sources.sql.
SELECT s.id, s.source_id, s.source_kind, s.collection, s.key, s.content_hash
FROM sources s
JOIN unnest($1::text[], $2::text[], $3::text[]) AS wanted (source_kind, collection, key)
    USING (source_kind, collection, key)
WHERE s.tenant_id = current_setting('pgrecall.tenant')
ORDER BY s.id
FOR UPDATE OF s
