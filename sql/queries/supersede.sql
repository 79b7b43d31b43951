-- Says of records what has taken their place: they end when it begins.
--
-- Called by: write::write, after find_superseded.sql, which locked them. Index: sources_by_id. Their vectors and words stay: what was true then is
-- still asked for (`as_of`). What has a successor keeps it: a chain is not cut by whoever names all of it. Who takes the place of what replaced it once is no longer replaced by it: write_sources.sql made it active.
UPDATE sources old SET
    status = 'superseded', superseded_by = new.source_id, updated_at = clock_timestamp(),
    valid_to = greatest(old.valid_from, least(old.valid_to, new.valid_from)),
    own_valid_to = coalesce(CASE WHEN old.status = 'superseded' THEN old.own_valid_to END, old.valid_to, 'infinity')
FROM unnest($1::uuid[], $2::int8[]) AS places (old, new)
JOIN sources new ON new.id = places.new
WHERE old.tenant_id = current_setting('pgrecall.tenant') AND old.source_id = places.old
  AND (old.status <> 'superseded'
       OR NOT EXISTS (SELECT FROM sources n WHERE n.tenant_id = old.tenant_id AND n.source_id = old.superseded_by))
