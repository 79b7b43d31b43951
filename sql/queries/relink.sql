-- Lets what was superseded point to the copy of its successor, where that came here as a copy.
--
-- Called by: copies::relink, with each id that a successor had elsewhere, the id of the caller's copy of it, and the sources that were just
-- written. Indexes: sources_by_successor, sources_by_id. What an earlier batch wrote points on to what it can see.
UPDATE sources s SET superseded_by = copy.source_id
FROM unnest($1::uuid[], $2::uuid[]) AS m (was, is_now)
JOIN sources copy ON copy.tenant_id = current_setting('pgrecall.tenant') AND copy.source_id = m.is_now
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.superseded_by = m.was AND s.owner_id = current_setting('pgrecall.owner')
  AND (s.id = ANY ($3::bigint[])
       OR NOT EXISTS (SELECT FROM sources o WHERE o.tenant_id = current_setting('pgrecall.tenant') AND o.source_id = m.was))
