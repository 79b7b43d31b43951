-- Selects the sources of a search set by their readers: the caller's, the tenant's, the persona's.
--
-- Used by: the placeholder `search_set`, if the filter starts at no label. Indexes: sources_by_owner,
-- sources_by_visibility.
-- One branch per index. No source is in two branches.
SELECT s.id, s.words FROM sources s WHERE s.owner_id = $6::text AND {filter}
UNION ALL
SELECT s.id, s.words FROM sources s WHERE s.visibility = 'tenant' AND s.owner_id <> $6::text AND {filter}
UNION ALL
SELECT s.id, s.words FROM sources s
WHERE s.visibility = 'persona' AND s.persona = $7::text AND s.owner_id <> $6::text AND {filter}
