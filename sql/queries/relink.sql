-- Lets what was superseded point to its successor, where that has another id here than it had before.
--
-- Called by: copies::relink, with each id that a successor had elsewhere, the id that it has, whether it came in this batch, and the sources that
-- the batch wrote. Indexes: sources_by_successor, sources_by_id. What points to something that its owner can see is right, unless this very batch
-- wrote both.
UPDATE sources s SET superseded_by = here.source_id
FROM unnest($1::uuid[], $2::uuid[], $3::bool[]) AS m (was, is_now, came)
JOIN sources here ON here.tenant_id = current_setting('pgrecall.tenant') AND here.source_id = m.is_now
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.superseded_by = m.was AND s.id <> here.id
  AND (s.id = ANY ($4::bigint[]) OR s.owner_id = current_setting('pgrecall.owner'))
  AND ((m.came AND s.id = ANY ($4::bigint[]))
       OR NOT EXISTS (SELECT FROM sources o WHERE o.tenant_id = current_setting('pgrecall.tenant') AND o.source_id = m.was))
