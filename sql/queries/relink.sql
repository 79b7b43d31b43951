-- Points superseded records to the id that their successor has in this database.
--
-- Called by: copies::relink. Indexes: sources_by_successor, sources_by_id.
-- $1 has the ids of successors elsewhere, $2 their ids here, $3 whether they came in this batch,
-- and $4 the sources that the batch wrote. A link to a record that the caller can see is right and
-- stays, unless this batch wrote both records (decision 22).
UPDATE sources s SET superseded_by = here.source_id
FROM unnest($1::uuid[], $2::uuid[], $3::bool[]) AS m (was, is_now, came)
JOIN sources here ON here.tenant_id = current_setting('pgrecall.tenant') AND here.source_id = m.is_now
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.superseded_by = m.was AND s.id <> here.id
  AND (s.id = ANY ($4::bigint[]) OR s.owner_id = current_setting('pgrecall.owner'))
  AND ((m.came AND s.id = ANY ($4::bigint[]))
       OR NOT EXISTS (SELECT FROM sources o WHERE o.tenant_id = current_setting('pgrecall.tenant') AND o.source_id = m.was))
