-- Marks records as superseded; their validity ends when that of their successors begins.
--
-- Called by: write::write, after find_superseded.sql, which locked them. Index: sources_by_id.
-- Their vectors and postings stay, since `as_of` still asks for them. A record whose successor
-- still exists keeps it: a write that names a whole chain does not cut the chain. If a new record
-- supersedes its own former successor, that creates no cycle: write_sources.sql has made the new
-- record active.
UPDATE sources old SET
    status = 'superseded', superseded_by = new.source_id, updated_at = clock_timestamp(),
    valid_to = greatest(old.valid_from, least(old.valid_to, new.valid_from)),
    own_valid_to = coalesce(CASE WHEN old.status = 'superseded' THEN old.own_valid_to END, old.valid_to, 'infinity')
FROM unnest($1::uuid[], $2::int8[]) AS places (old, new)
JOIN sources new ON new.id = places.new
WHERE old.tenant_id = current_setting('pgrecall.tenant') AND old.source_id = places.old
  AND (old.status <> 'superseded'
       OR NOT EXISTS (SELECT FROM sources n WHERE n.tenant_id = old.tenant_id AND n.source_id = old.superseded_by))
