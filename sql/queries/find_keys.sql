-- Which of these keys are taken, and by what content: among those who would see the record, or else by one that its owner keeps private.
--
-- Called by: write::write, with the place, kind, collection, key and visibility of each record, and its owner and persona where they are not
-- the caller's. Index: sources_by_key. Locks the rows that are there, in the order of their ids, so that two writers of the same keys wait for
-- each other and cannot deadlock; a key that is new to both is settled by write_sources.sql.
SELECT s.id, s.source_id, s.source_kind, s.collection, s.key, s.updated_at, s.content_hash, wanted.item,
       audience(s.visibility, s.persona, s.owner_id) = wanted.audience AS same_audience
FROM sources s
JOIN (SELECT item, source_kind, collection, key, coalesce(owner_id, current_setting('pgrecall.owner')) AS owner_id,
             audience(visibility, CASE WHEN owner_id IS NULL THEN current_setting('pgrecall.persona') ELSE persona END,
                      coalesce(owner_id, current_setting('pgrecall.owner'))) AS audience
      FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
           AS wanted (item, source_kind, collection, key, visibility, owner_id, persona)) AS wanted
    USING (source_kind, collection, key)
WHERE s.tenant_id = current_setting('pgrecall.tenant')
  AND (audience(s.visibility, s.persona, s.owner_id) = wanted.audience OR (s.visibility = 'private' AND s.owner_id = wanted.owner_id))
ORDER BY s.id
FOR UPDATE OF s
